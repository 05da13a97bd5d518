"""Who peers with whom: derived from tunnels and from links that are marked for peering."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from lab.errors import InputError
from lab.routing.model import Neighbor
from lab.topology import Address, Bfd, Family, Prefix, RouterIntent, RoutingProtocol, Timers, Topology

FAMILIES: tuple[Family, Family] = ("ipv4", "ipv6")


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
    server: Address | None = None
    """Where the tunnel to this neighbour is dialled from here: no route from it may cover that (recursive routing)."""

    @property
    def name(self) -> str:
        """How configurations call it."""
        return str(self.address or self.interface)

    @property
    def covering(self) -> tuple[Prefix, ...]:
        """All prefixes that cover the server's address, from the default route to the host route."""
        if self.server is None:
            return ()
        host = ip_network(self.server)
        return tuple(host.supernet(new_prefix=length) for length in range(host.max_prefixlen + 1))

    def is_seen_as(self, neighbor: Neighbor) -> bool:
        """Whether a daemon's neighbour is this one."""
        if self.address is not None:
            return neighbor.address == self.address
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

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The interfaces that lead to neighbours."""
        return tuple(dict.fromkeys(peer.interface for peer in self.peers))


def plan_routers(topology: Topology) -> Mapping[str, RouterPlan]:
    """The routers of a topology by node.

    A router's id, where the file gives none, is the lowest of its IPv4 addresses on links.
    """
    plans: dict[str, RouterPlan] = {}
    for name, node in topology.nodes.items():
        intent = node.intent.router
        if intent is None:
            continue
        plans[name] = RouterPlan(
            node=name,
            daemon=intent.daemon,
            asn=intent.asn,
            router_id=intent.router_id or _lowest_address(topology, name),
            networks=intent.networks,
            timers=intent.timers,
            bfd=intent.bfd,
            peers=(*_over_tunnels(topology, name), *_over_links(topology, name)),
            protocol=intent.protocol,
        )
    return plans


def _over_tunnels(topology: Topology, name: str) -> list[Peer]:
    peers = []
    for tunnel in topology.tunnels:
        if tunnel.client == name:
            other, interface, server = tunnel.server, tunnel.device, tunnel.server_outer
            addresses = (tunnel.server_ipv4.ip, tunnel.server_ipv6.ip)
        elif tunnel.server == name:
            other, interface, server = tunnel.client, tunnel.server_device, None
            addresses = (tunnel.client_ipv4.ip, tunnel.client_ipv6.ip)
        else:
            continue
        here, there = topology.nodes[name].intent.router, topology.nodes[other].intent.router
        if here is not None and there is not None:
            guarded = server if here.recursion_filter else None
            peers += _peers(other, there, interface, addresses, guarded)
    return peers


def _over_links(topology: Topology, name: str) -> list[Peer]:
    peers = []
    for link in topology.links:
        if not link.intent.peering or len(link.endpoints) != 2:
            continue
        for here, there in (link.endpoints, link.endpoints[::-1]):
            router = topology.nodes[there.node].intent.router
            if here.node == name and router is not None:
                addresses = (there.ipv4.ip if there.ipv4 else None, there.ipv6.ip if there.ipv6 else None)
                peers += _peers(there.node, router, here.interface, addresses, None)
    return peers


def _peers(
    node: str,
    router: RouterIntent,
    interface: str,
    addresses: tuple[IPv4Address | None, IPv6Address | None],
    server: Address | None,
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
            Peer(node, address, router.asn, interface, (family,), server)
            for exists, address, family in either
            if exists is not None
        ]
    address = None if router.sessions == "unnumbered" else ipv4 or ipv6
    if address is None and router.sessions != "unnumbered":
        return []
    return [Peer(node, address, router.asn, interface, FAMILIES, server)]


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
