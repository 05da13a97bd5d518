"""The neighbours of each router, derived from tunnels and from links with `peering`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TypeVar

from lab.core.errors import InputError
from lab.core.prefixes import FAMILIES
from lab.routing.own_peers import own_peers
from lab.routing.peer import Peer
from lab.topology import (
    Accepted,
    Address,
    Bfd,
    EndAddresses,
    Endpoint,
    ExtraLine,
    Family,
    NeighborIntent,
    Prefix,
    RouterIntent,
    RoutingProtocol,
    Timers,
    Topology,
    Tunnel,
    placed,
)
from lab.topology.own import OwnRouter

T = TypeVar("T")


@dataclass(frozen=True)
class RouterPlan:
    """The input for rendering a daemon's configuration."""

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
    """The prefixes accepted from neighbours; None for all."""
    outer: tuple[Address, ...] = ()
    """The outer addresses of the other ends of this router's tunnels. A route through a tunnel that covers one of them
    would route the tunnel's packets into a tunnel (recursive routing)."""
    communities: tuple[tuple[Prefix, tuple[str, ...]], ...] = ()
    """The originated prefixes with communities."""
    graceful_restart: int | None = None
    """The restart time in seconds (RFC 4724); None for no graceful restart."""
    extra: tuple[ExtraLine, ...] = field(default=(), repr=False)
    """More lines for the end of the configuration."""
    own: OwnRouter | None = None
    """The user's own configuration of the daemon; the plan then only says what it has."""

    def communities_of(self, prefix: Prefix) -> tuple[str, ...]:
        """Return the communities of an originated prefix."""
        return dict(self.communities).get(prefix, ())

    def accepted(self, prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
        """Return the prefixes that are accepted from neighbours."""
        return tuple(p for p in prefixes if self.accept is None or any(entry.accepts(p) for entry in self.accept))

    def accepted_of(self, family: Family) -> tuple[Accepted, ...]:
        """Return the entries of `accept` for one family."""
        return tuple(e for e in self.accept or () if e.prefix.version == (4 if family == "ipv4" else 6))

    @property
    def guarded_interfaces(self) -> tuple[str, ...]:
        """Return the interfaces through which no route may cover an `outer` address."""
        return tuple(dict.fromkeys(peer.interface for peer in self.peers if peer.guarded))

    def outer_of(self, family: Family) -> tuple[Address, ...]:
        """Return the `outer` addresses of one family."""
        return tuple(address for address in self.outer if address.version == (4 if family == "ipv4" else 6))

    def covering(self, family: Family) -> tuple[Prefix, ...]:
        """Return all prefixes that cover one of them, from the default route to the host routes."""
        hosts = [ip_network(address) for address in self.outer_of(family)]
        lengths = range(hosts[0].max_prefixlen + 1) if hosts else ()
        return tuple(dict.fromkeys(host.supernet(new_prefix=length) for length in lengths for host in hosts))

    def interfaces_to(self, node: str) -> tuple[str, ...]:
        """Return the interfaces that lead to a neighbour's prefixes while all sessions with it are up.

        Empty if the daemon chooses one of several: without multipath and without a preference.
        """
        peers = [peer for peer in self.peers if peer.node == node]
        if self.protocol != "bgp":
            return tuple(dict.fromkeys(peer.interface for peer in peers))
        best = max(peer.local_pref for peer in peers)
        interfaces = tuple(dict.fromkeys(peer.interface for peer in peers if peer.local_pref == best))
        return interfaces if self.multipath or len(interfaces) == 1 else ()

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Return the interfaces that lead to neighbours."""
        return tuple(self.priorities)

    @property
    def priorities(self) -> Mapping[str, int | None]:
        """Return the interfaces that lead to neighbours, each with `Peer.priority`."""
        return {peer.interface: peer.priority for peer in self.peers}


def plan_routers(topology: Topology) -> Mapping[str, RouterPlan]:
    """Return the routers of a topology by node, without external nodes, whose daemons the lab does not run."""
    planned = {name: plan_router(topology, name) for name, node in topology.nodes.items() if not node.external}
    return {name: plan for name, plan in planned.items() if plan is not None}


def plan_router(topology: Topology, name: str) -> RouterPlan | None:
    """Return the router on a node; None if it has none.

    Its id is by default the lowest of its IPv4 addresses on links.
    """
    intent = topology.nodes[name].intent.router
    if intent is None:
        return None
    if (own := topology.own_routers.get(name)) is not None:
        return _plan_own(topology, own, intent)
    return RouterPlan(
        node=name,
        daemon=intent.daemon,
        asn=intent.asn,
        router_id=_router_id(topology, name),
        networks=intent.networks,
        timers=intent.timers,
        bfd=intent.bfd,
        peers=tuple(
            _with_options(topology, name, peer)
            for peer in (*_over_tunnels(topology, name), *_over_links(topology, name))
        ),
        protocol=intent.protocol,
        multipath=intent.multipath,
        accept=intent.accept,
        outer=_outer(topology, name) if intent.recursion_filter else (),
        communities=tuple((p, texts) for p in intent.networks if (texts := intent.communities_of(p))),
        graceful_restart=intent.graceful_restart,
        extra=placed(intent.extra, topology.extra_at.get(name, ()), f"{topology.file}: {_key(name)}.extra"),
    )


def _plan_own(topology: Topology, own: OwnRouter, intent: RouterIntent) -> RouterPlan:
    return RouterPlan(
        node=own.node,
        daemon=own.daemon,
        asn=own.asn,
        router_id=_router_id(topology, own.node),
        networks=own.networks,
        timers=intent.timers,
        bfd=None,
        peers=own_peers(topology, own),
        protocol=intent.protocol,
        own=own,
    )


def _router_id(topology: Topology, name: str) -> IPv4Address:
    """Return a router's ID; of one with its own files that do not tell, the address that it most likely takes."""
    intent = topology.nodes[name].intent.router
    if intent is not None and intent.router_id is not None:
        return intent.router_id
    if name in topology.own_routers:
        held = (e.ipv4.ip for link in topology.links for e in link.endpoints if e.node == name and e.ipv4 is not None)
        return max(held, default=IPv4Address(0))
    return _lowest_address(topology, name)


def _key(name: str) -> str:
    return f"topology.nodes.{name}.config.vars.router"


def _with_options(topology: Topology, name: str, peer: Peer) -> Peer:
    """Return a neighbour with the options of its sessions, those of the neighbour first, else those of the router."""
    router = topology.nodes[name].intent.router
    if router is None:
        return peer
    own = router.neighbors.get(peer.node, NeighborIntent())

    def first_set(one: T | None, other: T | None) -> T | None:
        return one if one is not None else other

    return replace(
        peer,
        password=first_set(own.password, router.password),
        ttl_security=first_set(own.ttl_security, router.ttl_security),
        default_originate=bool(first_set(own.default_originate, router.default_originate)),
        allowas_in=first_set(own.allowas_in, router.allowas_in),
        extra=placed(
            own.extra,
            topology.extra_at.get(f"{name} {peer.node}", ()),
            f"{topology.file}: {_key(name)}.neighbors.{peer.node}.extra",
        ),
    )


def _outer(topology: Topology, name: str) -> tuple[Address, ...]:
    """Return the outer addresses of the other ends of a node's tunnels."""
    servers = [tunnel.server_at.outer for tunnel in topology.tunnels if tunnel.client == name]
    clients = [tunnel.client_at.outer for tunnel in topology.tunnels if tunnel.server == name]
    return tuple(dict.fromkeys(address for address in servers + clients if address is not None))


def _over_tunnels(topology: Topology, name: str) -> list[Peer]:
    peers = []
    spokes = {t.client for t in topology.tunnels if t.server == name and _internal(topology, t)}
    for tunnel in topology.tunnels:
        if tunnel.client == name:
            other, interface = tunnel.server, tunnel.device
            near, far = tunnel.client_at, tunnel.server_at
        elif tunnel.server == name:
            other, interface = tunnel.client, tunnel.server_device
            near, far = tunnel.server_at, tunnel.client_at
        else:
            continue
        here = topology.nodes[name].intent.router
        there = _counterpart(topology, other, here)
        if here is not None and there is not None:
            several_clients = tunnel.shared is not None and sum(t.shared == tunnel.shared for t in topology.tunnels) > 1
            peers += [
                replace(
                    peer,
                    own_ipv6=near.ipv6.ip if near.ipv6 else None,
                    guarded=here.recursion_filter,
                    preference=tunnel.preference,
                    router_id=_router_id(topology, other) if several_clients else None,
                    priority=int(tunnel.server == name) if several_clients else None,
                    reflects=tunnel.server == name and other in spokes and len(spokes) > 1,
                )
                for peer in _spoken(
                    topology, _peers(other, there, interface, _reachable(topology, tunnel, near, far, other))
                )
            ]
    router = topology.nodes[name].intent.router
    bgp = router is not None and router.protocol == "bgp"
    return list({_session_key(peer, bgp=bgp): peer for peer in reversed(peers)}.values())[::-1]


def _reachable(
    topology: Topology, tunnel: Tunnel, near: EndAddresses, far: EndAddresses, other: str
) -> tuple[IPv4Address | None, IPv6Address | None]:
    """Return the addresses of a tunnel's other end at which there can be a session.

    A rendered router needs its neighbour's address, which the user's own OpenVPN files may leave to a pool: then
    neither end gets the session.
    """
    ipv4, ipv6 = _without_lengths(far)
    if not tunnel.own or other in topology.own_routers:
        return ipv4, ipv6
    return ipv4 if near.ipv4 else None, ipv6 if near.ipv6 else None


def _session_key(peer: Peer, *, bgp: bool) -> tuple[object, ...]:
    """Return what two peers of a router have in common if they are one session.

    In files of the user's, tunnels between the same nodes can have the same addresses: BGP has a session per address,
    and OSPF and RIP have one per interface.
    """
    if bgp and peer.address is not None and not peer.address.is_link_local:
        return peer.node, peer.address
    return peer.node, peer.interface, peer.address, peer.families


def _counterpart(topology: Topology, name: str, router: RouterIntent | None) -> RouterIntent | None:
    """Return the router on a node as a neighbour of another one; None if it is none.

    A router with the user's own files may speak several protocols, or another one than its neighbour.
    """
    there = topology.nodes[name].intent.router
    own = topology.own_routers.get(name)
    if there is None or router is None or own is None:
        return there
    speaks = router.protocol in own.protocols and (router.protocol != "bgp" or own.asn is not None)
    return there.model_copy(update={"protocol": router.protocol}) if speaks else None


def _spoken(topology: Topology, peers: list[Peer]) -> list[Peer]:
    """Return the peers without the families for which the user's own files run no OSPF or RIP."""
    found = []
    for peer in peers:
        own, intent = topology.own_routers.get(peer.node), topology.nodes[peer.node].intent.router
        interior = own is not None and intent is not None and intent.protocol != "bgp"
        if not interior or own is None or set(peer.families) <= own.interfaces.keys():
            found.append(peer)
    return found


def _internal(topology: Topology, tunnel: Tunnel) -> bool:
    """Return whether the BGP session through a tunnel is internal."""
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
            router = _counterpart(topology, there.node, own)
            if here.node == name and router is not None:
                encapsulation = link.intent.encapsulation
                carried = encapsulation.carries if encapsulation else FAMILIES
                peers += [
                    replace(
                        peer,
                        own_ipv6=here.ipv6.ip if here.ipv6 else None,
                        families=tuple(family for family in peer.families if family in carried),
                        preference=link.intent.preference,
                        # The link may pass through a tunnel of the same router, whose filter it would bypass.
                        guarded=encapsulation is not None and bool(_outer(topology, name)) and own.recursion_filter,
                    )
                    for peer in _spoken(topology, _peers(there.node, router, here.interface, _without_lengths(there)))
                ]
    return peers


def _without_lengths(end: Endpoint | EndAddresses) -> tuple[IPv4Address | None, IPv6Address | None]:
    return end.ipv4.ip if end.ipv4 else None, end.ipv6.ip if end.ipv6 else None


def _peers(
    node: str,
    router: RouterIntent,
    interface: str,
    addresses: tuple[IPv4Address | None, IPv6Address | None],
) -> list[Peer]:
    """Return the neighbours to configure for a router on one interface, by the same rules at both ends."""
    ipv4, ipv6 = addresses
    if router.protocol != "bgp" or router.sessions == "per-family":
        # OSPFv3 and RIPng use link-local addresses (RFC 5340, section 2.5; RFC 2080, section 2.4.1).
        ipv6_address = ipv6 if router.protocol == "bgp" else None
        per_family: tuple[tuple[Address | None, Address | None, Family], ...] = (
            (ipv4, ipv4, "ipv4"),
            (ipv6, ipv6_address, "ipv6"),
        )
        return [
            Peer(node, address, router.asn, interface, (family,))
            for exists, address, family in per_family
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
            f"{topology.file}: topology.nodes.{name}.config.vars.router: the node has no IPv4 address on a link to "
            "derive the router id from: add `router-id`"
        )
    return min(addresses)
