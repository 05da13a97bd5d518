"""What lies between the two routers of a lab that is compared: an OpenVPN tunnel, or a kernel tunnel in its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.compare.labs import CLIENT, INNER, SERVER
from lab.core.prefixes import FAMILIES, family_of
from lab.runtime.lab import Lab
from lab.topology import Address, Encapsulation, Family, Prefix
from lab.tunnel import RunningTunnel


@dataclass(frozen=True)
class Way:
    """The way between `server` and `client` that is not the bare wire."""

    lab: Lab

    @cached_property
    def tunnel(self) -> RunningTunnel | None:
        """OpenVPN's; None where the kernel alone makes the way."""
        return self.lab.tunnel(SERVER, CLIENT) if self.lab.tunnels else None

    @property
    def families(self) -> tuple[Family, ...]:
        """Those that there are addresses of inside."""
        return FAMILIES if self._encapsulation is None else self._encapsulation.carries

    def device(self, node: str) -> str:
        """Its interface on one of the two."""
        return INNER if self.tunnel is None else self.tunnel.device(node)

    def server(self, family: Family) -> Address:
        """The server's address inside."""
        if self.tunnel is not None:
            declared = self.tunnel.tunnel
            return (declared.server_ipv4 if family == "ipv4" else declared.server_ipv6).ip
        (end,) = (
            e for link in self.lab.topology.links for e in link.endpoints if (e.node, e.interface) == (SERVER, INNER)
        )
        address = end.ipv4 if family == "ipv4" else end.ipv6
        assert address is not None
        return address.ip

    def carried(self, prefixes: Sequence[Prefix]) -> list[Prefix]:
        """Those of its families."""
        return [prefix for prefix in prefixes if family_of(prefix) in self.families]

    @property
    def _encapsulation(self) -> Encapsulation | None:
        found = (link.intent.encapsulation for link in self.lab.topology.links)
        return next(filter(None, found), None)
