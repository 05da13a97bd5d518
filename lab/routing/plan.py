"""Who peers with whom: derived from tunnels and from links that are marked for peering."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.errors import InputError
from lab.topology import Address, Bfd, Prefix, Timers, Topology


@dataclass(frozen=True)
class Peer:
    """A neighbour to configure. One session carries both families."""

    node: str
    address: Address
    asn: int
    interface: str
    """The local interface that leads to it."""


@dataclass(frozen=True)
class RouterPlan:
    """All that a daemon's configuration is rendered from."""

    node: str
    daemon: str
    asn: int
    router_id: IPv4Address
    networks: tuple[Prefix, ...]
    timers: Timers
    bfd: Bfd | None
    peers: tuple[Peer, ...]


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
        )
    return plans


def _over_tunnels(topology: Topology, name: str) -> list[Peer]:
    peers = []
    for tunnel in topology.tunnels:
        if tunnel.client == name:
            other, address, interface = tunnel.server, tunnel.server_ipv4.ip, tunnel.device
        elif tunnel.server == name:
            other, address, interface = tunnel.client, tunnel.client_ipv4.ip, tunnel.server_device
        else:
            continue
        router = topology.nodes[other].intent.router
        if router is not None:
            peers.append(Peer(other, address, router.asn, interface))
    return peers


def _over_links(topology: Topology, name: str) -> list[Peer]:
    peers = []
    for link in topology.links:
        if not link.intent.peering or len(link.endpoints) != 2:
            continue
        for here, there in (link.endpoints, link.endpoints[::-1]):
            router = topology.nodes[there.node].intent.router
            address = there.ipv4 or there.ipv6
            if here.node == name and router is not None and address is not None:
                peers.append(Peer(there.node, address.ip, router.asn, here.interface))
    return peers


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
