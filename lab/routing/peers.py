"""Who peers with whom: derived from tunnels and from links that are marked for peering."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_network

from lab.core.errors import InputError
from lab.core.prefixes import FAMILIES
from lab.routing.model import Neighbor
from lab.topology import Accepted, Address, Bfd, Family, Prefix, RouterIntent, RoutingProtocol, Timers, Topology, Tunnel


@dataclass(frozen=True)
class Peer:
    """A neighbour to configure: one BGP session, or one family's OSPF or RIP."""

    node: str
    address: Address | None
    """None: somebody behind the interface, known by a link-local address that nobody chose."""
    asn: int | None
    interface: str
    """The local interface that leads to it."""
    families: tuple[Family, ...] = FAMILIES
    """What it is told of, and asked for."""
    guarded: bool = False
    """It is beyond a tunnel, and no route from it may cover one of the router's `outer` addresses."""
    preference: int | None = None
    """The local preference of what is learnt from it; None for BGP's usual one."""
    router_id: IPv4Address | None = None
    """What it calls itself, where that tells it from others behind the same interface."""
    priority: int | None = None
    """On an interface with more than one neighbour, this router's claim to be the one that all others synchronize
    with (OSPF's designated router, RFC 2328, section 9.4): the end that all reach has one. None where two are alone."""
    reflects: bool = False
    """This router passes on to it what other internal BGP neighbours said, and to them what it says (RFC 4456)."""

    @property
    def rank(self) -> int:
        """The local preference that counts: 100 where none is set, as in every BGP."""
        return 100 if self.preference is None else self.preference

    @property
    def name(self) -> str:
        """How configurations call it."""
        return str(self.address or self.interface)

    def matches(self, neighbor: Neighbor) -> bool:
        """Whether a daemon's neighbour is this one."""
        if self.address is not None:
            return neighbor.address == self.address
        if None not in (self.router_id, neighbor.router_id) and neighbor.router_id != self.router_id:
            return False
        known = neighbor.address is None or neighbor.address.version == 6
        return known and neighbor.interface == self.interface


@dataclass(frozen=True)
class RouterPlan:
    """All that a daemon's configuration is rendered from."""

    node: str
    daemon: str
    asn: int | None
    router_id: IPv4Address
    networks: tuple[Prefix, ...]
    timers: Timers
    bfd: Bfd | None
    peers: tuple[Peer, ...]
    protocol: RoutingProtocol = "bgp"
    multipath: bool = False
    accept: tuple[Accepted, ...] | None = None
    """What is taken from neighbours; None for everything."""
    outer: tuple[Address, ...] = ()
    """The outer addresses of the other ends of this router's tunnels. A route from beyond a tunnel that covers one of
    them would lead tunnels into themselves or each other (recursive routing)."""

    def accepted(self, prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
        """Those of some prefixes that are taken from neighbours."""
        return tuple(p for p in prefixes if self.accept is None or any(entry.takes(p) for entry in self.accept))

    def accepted_of(self, family: Family) -> tuple[Accepted, ...]:
        """The entries of `accept` for one family."""
        return tuple(e for e in self.accept or () if e.prefix.version == (4 if family == "ipv4" else 6))

    @property
    def guarded_interfaces(self) -> tuple[str, ...]:
        """The interfaces from beyond which no route may cover an `outer` address."""
        return tuple(dict.fromkeys(peer.interface for peer in self.peers if peer.guarded))

    def outer_of(self, family: Family) -> tuple[Address, ...]:
        """The `outer` addresses of one family."""
        return tuple(address for address in self.outer if address.version == (4 if family == "ipv4" else 6))

    def covering(self, family: Family) -> tuple[Prefix, ...]:
        """All prefixes that cover one of these, from the default route to the host routes."""
        hosts = [ip_network(address) for address in self.outer_of(family)]
        lengths = range(hosts[0].max_prefixlen + 1) if hosts else ()
        return tuple(dict.fromkeys(host.supernet(new_prefix=length) for length in lengths for host in hosts))

    def interfaces_to(self, node: str) -> tuple[str, ...]:
        """The interfaces that lead to what a neighbour announces, while all sessions with it stand.

        Without multipath, and where none is preferred, the daemon takes one of several, and none is said here.
        """
        peers = [peer for peer in self.peers if peer.node == node]
        if self.protocol != "bgp":
            return tuple(dict.fromkeys(peer.interface for peer in peers))
        best = max(peer.rank for peer in peers)
        ways = tuple(dict.fromkeys(peer.interface for peer in peers if peer.rank == best))
        return ways if self.multipath or len(ways) == 1 else ()

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The interfaces that lead to neighbours."""
        return tuple(self.priorities)

    @property
    def priorities(self) -> Mapping[str, int | None]:
        """The interfaces that lead to neighbours, each with `Peer.priority`."""
        return {peer.interface: peer.priority for peer in self.peers}


def plan_routers(topology: Topology) -> Mapping[str, RouterPlan]:
    """The routers of a topology by node, but for those in external nodes, which the lab does not run."""
    planned = {name: plan_router(topology, name) for name, node in topology.nodes.items() if not node.external}
    return {name: plan for name, plan in planned.items() if plan is not None}


def plan_router(topology: Topology, name: str) -> RouterPlan | None:
    """The router on a node; None where there is none.

    Its id, where the file gives none, is the lowest of its IPv4 addresses on links.
    """
    intent = topology.nodes[name].intent.router
    if intent is None:
        return None
    return RouterPlan(
        node=name,
        daemon=intent.daemon,
        asn=intent.asn,
        router_id=intent.router_id or _lowest_address(topology, name),
        networks=intent.networks,
        timers=intent.timers,
        bfd=intent.bfd,
        peers=(*_over_tunnels(topology, name), *_over_links(topology, name)),
        protocol=intent.protocol,
        multipath=intent.multipath,
        accept=intent.accept,
        outer=_outer(topology, name) if intent.recursion_filter else (),
    )


def _outer(topology: Topology, name: str) -> tuple[Address, ...]:
    """Where tunnels are dialled from here, and where those that are dialled here come from."""
    dialled = [tunnel.server_outer for tunnel in topology.tunnels if tunnel.client == name]
    dialling = [tunnel.client_outer for tunnel in topology.tunnels if tunnel.server == name]
    return tuple(dict.fromkeys(dialled + dialling))


def _over_tunnels(topology: Topology, name: str) -> list[Peer]:
    peers = []
    spokes = {t.client for t in topology.tunnels if t.server == name and _internal(topology, t)}
    for tunnel in topology.tunnels:
        if tunnel.client == name:
            other, interface = tunnel.server, tunnel.device
            addresses = (tunnel.server_ipv4.ip, tunnel.server_ipv6.ip)
        elif tunnel.server == name:
            other, interface = tunnel.client, tunnel.server_device
            addresses = (tunnel.client_ipv4.ip, tunnel.client_ipv6.ip)
        else:
            continue
        here, there = topology.nodes[name].intent.router, topology.nodes[other].intent.router
        if here is not None and there is not None:
            switched = tunnel.shared is not None and sum(t.shared == tunnel.shared for t in topology.tunnels) > 1
            peers += [
                replace(
                    peer,
                    guarded=here.recursion_filter,
                    preference=tunnel.preference,
                    router_id=(there.router_id or _lowest_address(topology, other)) if switched else None,
                    priority=int(tunnel.server == name) if switched else None,
                    reflects=tunnel.server == name and other in spokes and len(spokes) > 1,
                )
                for peer in _peers(other, there, interface, addresses)
            ]
    return peers


def _internal(topology: Topology, tunnel: Tunnel) -> bool:
    """Whether internal BGP is spoken through a tunnel."""
    server, client = (topology.nodes[end].intent.router for end in (tunnel.server, tunnel.client))
    return server is not None and client is not None and server.asn is not None and server.asn == client.asn


def _over_links(topology: Topology, name: str) -> list[Peer]:
    peers: list[Peer] = []
    own = topology.nodes[name].intent.router
    if own is None:
        return peers
    for link in topology.links:
        if not link.intent.peering or len(link.endpoints) != 2:
            continue
        for here, there in (link.endpoints, link.endpoints[::-1]):
            router = topology.nodes[there.node].intent.router
            if here.node == name and router is not None:
                addresses = (there.ipv4.ip if there.ipv4 else None, there.ipv6.ip if there.ipv6 else None)
                encapsulation = link.intent.encapsulation
                carried = encapsulation.carries if encapsulation else FAMILIES
                peers += [
                    replace(
                        peer,
                        families=tuple(family for family in peer.families if family in carried),
                        preference=link.intent.preference,
                        # It may lead through a tunnel of the same router, and around that one's filter.
                        guarded=encapsulation is not None and bool(_outer(topology, name)) and own.recursion_filter,
                    )
                    for peer in _peers(there.node, router, here.interface, addresses)
                ]
    return peers


def _peers(
    node: str,
    router: RouterIntent,
    interface: str,
    addresses: tuple[IPv4Address | None, IPv6Address | None],
) -> list[Peer]:
    """The neighbours that a router is, behind one interface; each end decides as the other does."""
    ipv4, ipv6 = addresses
    if router.protocol != "bgp" or router.sessions == "per-family":
        # OSPFv3 and RIPng speak with link-local addresses (RFC 5340, section 2.5; RFC 2080, section 2.4.1).
        sixth = ipv6 if router.protocol == "bgp" else None
        either: tuple[tuple[Address | None, Address | None, Family], ...] = (
            (ipv4, ipv4, "ipv4"),
            (ipv6, sixth, "ipv6"),
        )
        return [
            Peer(node, address, router.asn, interface, (family,))
            for exists, address, family in either
            if exists is not None
        ]
    address = None if router.sessions == "unnumbered" else ipv4 or ipv6
    if address is None and router.sessions != "unnumbered":
        return []
    return [Peer(node, address, router.asn, interface, FAMILIES)]


def _lowest_address(topology: Topology, name: str) -> IPv4Address:
    addresses = [
        endpoint.ipv4.ip
        for link in topology.links
        for endpoint in link.endpoints
        if endpoint.node == name and endpoint.ipv4 is not None
    ]
    if not addresses:
        raise InputError(
            f"{topology.file}: topology.nodes.{name}.config.vars.router: a router without an IPv4 address on a "
            "link needs a `router-id`"
        )
    return min(addresses)
