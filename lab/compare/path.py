"""The tunnel between the two routers of a compared lab: OpenVPN's, or a kernel tunnel."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.compare.labs import CLIENT, INNER, SERVER
from lab.core.prefixes import FAMILIES, family_of
from lab.runtime.lab import Lab
from lab.topology import Address, Encapsulation, Family, Prefix
from lab.tunnel import RunningTunnel


@dataclass(frozen=True)
class TunnelPath:
    """The path through the tunnel between `server` and `client`."""

    lab: Lab

    @cached_property
    def tunnel(self) -> RunningTunnel | None:
        """The OpenVPN tunnel; None for a kernel tunnel."""
        return self.lab.tunnel(SERVER, CLIENT) if self.lab.tunnels else None

    @property
    def families(self) -> tuple[Family, ...]:
        """The families with addresses inside the tunnel."""
        return FAMILIES if self._encapsulation is None else self._encapsulation.carries

    def device(self, node: str) -> str:
        """Return the tunnel's interface on one of the two routers."""
        return INNER if self.tunnel is None else self.tunnel.device(node)

    def server(self, family: Family) -> Address:
        """Return the server's address inside the tunnel."""
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
        """Return the prefixes of the tunnel's families."""
        return [prefix for prefix in prefixes if family_of(prefix) in self.families]

    @property
    def _encapsulation(self) -> Encapsulation | None:
        found = (link.intent.encapsulation for link in self.lab.topology.links)
        return next(filter(None, found), None)
