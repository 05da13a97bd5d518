"""Data channel offload (DCO), where the kernel forwards the data: one server process for many clients, no `iroute`.

The next hop of the kernel's route selects the client of a packet; DCO has no inner table, and an `iroute` would only
become another kernel route. DCO needs the device kind `ovpn` (Linux 6.16) and OpenVPN 2.7. With an option that the
kernel does not support OpenVPN falls back to userspace and reports it only in its log; this mode refuses these options
(openvpn(8), "Data Channel Offload").
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from lab.topology import Objection, TunnelIntent
from lab.tunnel.base import ManyClients
from lab.tunnel.mode import Traits, TunnelMode
from lab.tunnel.options import ServerOptions

AeadCipher = Annotated[str, Field(pattern=r"^\??(AES-(128|192|256)-GCM|CHACHA20-POLY1305)$")]


class Options(ServerOptions):
    """The options of a tunnel in this mode."""

    data_ciphers: tuple[AeadCipher, ...] = Field(("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"), min_length=1)
    """The kernel supports authenticated ciphers (AEAD) only."""


_USERSPACE = ("disable-dco", "fragment", "http-proxy", "socks-proxy", "port-share")
"""Options with which OpenVPN forwards the data in userspace and reports it only in its log."""


class Dco(ManyClients):
    """The mode `dco`."""

    name = "dco"
    summary = "the kernel's ovpn device in server mode: one process for many clients, no iroute, no multicast"
    traits = Traits(clients_per_process=None, multicast=(), openvpn=("2.7",), kernel="ovpn")
    options = Options

    def check(self, intent: TunnelIntent) -> Sequence[Objection]:
        """Object also to options that silently switch DCO off."""
        off = [name for name in _USERSPACE if intent.options.get(name) not in (None, False)]
        refused = [Objection(("options", name), "with this option OpenVPN silently disables DCO") for name in off]
        return [*super().check(intent), *refused]


MODE: TunnelMode = Dco()
