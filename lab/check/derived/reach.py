"""Pairs of hosts whose sites have routes to each other, and the size of the packets that pass."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from lab.advise import TunnelEnd
from lab.check.derived.openvpn_routes import Into, routes_into_tunnels
from lab.check.derived.sessions import Answer, Arrival
from lab.check.derived.sites import Host, hosts_behind, site_names
from lab.core.prefixes import Address, Family, family_of
from lab.topology import Topology, Tunnel
from lab.topology.segments import endpoints_of

LARGEST = 1500
"""Bytes that should pass: an Ethernet frame's."""
_HOPS = 4
"""The longest way of OpenVPN's own routes, in tunnels."""


@dataclass(frozen=True)
class Way:
    """A host that should reach an address behind another site."""

    source: str
    site: str
    host: Host
    """The other host."""
    certain: bool
    """False if a policy on the way, there or back, cannot be judged."""
    size: int
    """Bytes of the largest packet that should pass."""

    @property
    def family(self) -> Family:
        """The family of the packets."""
        return self.host.family


@dataclass(frozen=True)
class Ways:
    """The ways between the sites of a topology."""

    topology: Topology
    arrivals: tuple[Arrival, ...]
    ends: tuple[TunnelEnd, ...]

    def __iter__(self) -> Iterator[Way]:
        for source in [*self._hosts, *self._alone]:
            for host in self._hosts:
                if source.site == host.site or source.family != host.family:
                    continue
                there = self._leads(source.site, host)
                answer = there if there is not True else self._returns(host.site, source)
                if answer is not False:
                    size = self._size(source, host)
                    yield Way(source.node, source.site, host, certain=answer is True, size=size)

    @cached_property
    def _hosts(self) -> list[Host]:
        running = [site for site in sorted(site_names(self.topology)) if not self.topology.nodes[site].external]
        return [host for site in running for host in hosts_behind(self.topology, site)]

    @cached_property
    def _alone(self) -> list[Host]:
        """The clients without hosts behind them: each uses the tunnel itself.

        A daemon with files of the user's may set another source address than the tunnel's.
        """
        sites = {host.site for host in self._hosts}
        clients = {t.client: t for t in self.topology.tunnels if t.client not in sites}
        found: list[Host] = []
        for node, tunnel in clients.items():
            if self.topology.nodes[node].external or node in self.topology.own_routers:
                continue
            # Its own address is of the same network; which one it gets, the files may not tell.
            found += [Host(node, node, inner.ip, inner.network) for inner in tunnel.server_at.inner]
        return found

    def _leads(self, site: str, host: Host, hops: int = _HOPS) -> Answer:
        """Return whether a site has a route to a host behind another one."""
        answers: set[Answer] = set()
        for arrival in self._arrivals_at.get(site, ()):
            if arrival.origin == host.site and _covers(arrival, host.address):
                answers.add(True if arrival.certain else None)
        for into in self._into.get(site, ()) if hops else ():
            if any(host.address.version == p.version and host.address in p for p in into.prefixes):
                answers.add(True if into.other == host.site else self._leads(into.other, host, hops - 1))
        return True if True in answers else None if None in answers else False

    def _returns(self, site: str, source: Host) -> Answer:
        if source.node != source.site:
            return self._leads(site, source)
        # A client that uses the tunnel itself: its address is of the tunnel's network.
        servers = {t.server for t in self.topology.tunnels if t.client == source.site}
        if site in servers:
            return True
        shared = {t.shared for t in self.topology.tunnels if t.client == source.site} - {None}
        return any(t.shared in shared and t.client == site for t in self.topology.tunnels)

    def _size(self, source: Host, host: Host) -> int:
        """Return the smallest MTU of the links of both hosts and of the tunnels of both sites, 1500 at most."""
        sites = {source.site, host.site}
        tunnels = [t for t in self.topology.tunnels if {t.server, t.client} == sites]
        tunnels = tunnels or [t for t in self.topology.tunnels if {t.server, t.client} & sites]
        numbers = [LARGEST, *(self._mtu.get(tunnel.name, LARGEST) for tunnel in tunnels)]
        for link in self.topology.links:
            nodes = {end.node for end in link.endpoints}
            hosts = {source.node, host.node} - sites
            if link.mtu is not None and (nodes & hosts or link.intent.peering):
                numbers.append(link.mtu)
        return min(numbers)

    @cached_property
    def _mtu(self) -> Mapping[str, int]:
        """The smaller `tun-mtu` of the ends of each tunnel."""
        found: dict[str, int] = {}
        for end in self.ends:
            directive = end.subject.option("tun-mtu", "link-mtu")
            text = (directive.argument(0) if directive else None) or ""
            number = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else LARGEST
            found[end.tunnel] = min(found.get(end.tunnel, LARGEST), number)
        return found

    @cached_property
    def _arrivals_at(self) -> Mapping[str, list[Arrival]]:
        found: dict[str, list[Arrival]] = {}
        for arrival in self.arrivals:
            found.setdefault(arrival.router, []).append(arrival)
        return found

    @cached_property
    def _into(self) -> Mapping[str, list[Into]]:
        found: dict[str, list[Into]] = {}
        for into in routes_into_tunnels(self.topology, self.ends):
            found.setdefault(into.node, []).append(into)
        return found


def inner_addresses(topology: Topology) -> Iterator[tuple[Tunnel, str, Address]]:
    """Return the known inner addresses of tunnels, each with the node at the other end, which should reach it.

    Those of tunnels with an external end are left out: the user configures it.
    """
    for tunnel in topology.tunnels:
        if any(topology.nodes[end].external for end in (tunnel.server, tunnel.client)):
            continue
        for node, at in ((tunnel.client, tunnel.server_at), (tunnel.server, tunnel.client_at)):
            for inner in at.inner:
                if not inner.ip.is_link_local:
                    yield tunnel, node, inner.ip


def name_of(topology: Topology, host: Host) -> str:
    """Return the node's name if its first address of the family is the host's, else the address."""
    found = [a.ip for e in endpoints_of(topology, host.node) for a in e.addresses if family_of(a) == host.family]
    return host.node if found[:1] == [host.address] else str(host.address)


def _covers(arrival: Arrival, address: Address) -> bool:
    return arrival.prefix.version == address.version and address in arrival.prefix
