"""The kernel carries the data (data channel offload, DCO): one server process for many clients, without `iroute`.

The kernel's own routes, by their next hop, say which client a packet is for; there is no inner table to be filled,
and an `iroute` would only become another kernel route. It needs the device kind `ovpn` (Linux 6.16) and OpenVPN 2.7,
and falls back to userspace, silently but for the log, at options that the kernel cannot do. This mode has none of
these (openvpn(8), "Data Channel Offload").
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from lab.files import RenderedFile
from lab.tunnel.base import Mode, Render
from lab.tunnel.mode import Identity, Process, Traits
from lab.tunnel.options import TlsOptions

AeadCipher = Annotated[str, Field(pattern=r"^\??(AES-(128|192|256)-GCM|CHACHA20-POLY1305)$")]


class Options(TlsOptions):
    """What `options` of a tunnel in this mode may say."""

    data_ciphers: tuple[AeadCipher, ...] = Field(("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"), min_length=1)
    """The kernel does only ciphers that authenticate."""


class Dco(Mode):
    """See the module."""

    name = "dco"
    summary = "the kernel's ovpn device in server mode: one process for many clients, no iroute, no multicast"
    traits = Traits(clients_per_process=None, multicast=False, openvpn=("2.7",), kernel="ovpn")
    options = Options

    def more(self, process: Process, options: Any, identity: Identity, render: Render) -> Sequence[RenderedFile]:
        """What the server hands out to this tunnel's client: its addresses."""
        if process.end == "client":
            return []
        name = identity.client.common_name
        return [RenderedFile(process.files / "clients" / name, render("parts/addresses-of-client.j2"))]


MODE = Dco()
