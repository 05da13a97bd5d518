"""The kernel carries the data (data channel offload, DCO): one server process for many clients, without `iroute`.

The kernel's own routes, by their next hop, say which client a packet is for; there is no inner table to be filled,
and an `iroute` would only become another kernel route. It needs the device kind `ovpn` (Linux 6.16) and OpenVPN 2.7,
and falls back to userspace, silently but for the log, at options that the kernel cannot do. This mode has none of
these (openvpn(8), "Data Channel Offload").
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from lab.topology import Objection, TunnelIntent
from lab.tunnel.base import ManyClients
from lab.tunnel.mode import Traits
from lab.tunnel.options import ServerOptions

AeadCipher = Annotated[str, Field(pattern=r"^\??(AES-(128|192|256)-GCM|CHACHA20-POLY1305)$")]


class Options(ServerOptions):
    """What `options` of a tunnel in this mode may say."""

    data_ciphers: tuple[AeadCipher, ...] = Field(("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"), min_length=1)
    """The kernel does only ciphers that authenticate."""


_USERSPACE = ("disable-dco", "fragment", "http-proxy", "socks-proxy", "port-share")
"""Options with which OpenVPN carries the data itself, and says so in its log only."""


class Dco(ManyClients):
    """See the module."""

    name = "dco"
    summary = "the kernel's ovpn device in server mode: one process for many clients, no iroute, no multicast"
    traits = Traits(clients_per_process=None, multicast=(), openvpn=("2.7",), kernel="ovpn")
    options = Options

    def check(self, intent: TunnelIntent) -> Sequence[Objection]:
        """What every mode checks, and options that would silently switch the kernel's data channel off."""
        off = [name for name in _USERSPACE if intent.options.get(name) not in (None, False)]
        said = [Objection(("options", name), "that switches the kernel's data channel off, silently") for name in off]
        return [*super().check(intent), *said]


MODE = Dco()
