"""The neighbours that the user's own configuration of a router has, as far as they are nodes of the topology."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.core.prefixes import Address, Family
from lab.routing.peer import Peer
from lab.topology import RoutingProtocol, Topology
from lab.topology.own import OwnNeighbor, OwnRouter
from lab.topology.segments import neighbors_of


@dataclass(frozen=True)
class Adjacent:
    """A node at the other end of an interface, with its addresses there as far as they are known."""

    interface: str
    node: str
    addresses: tuple[Address, ...]


def adjacent_nodes(topology: Topology, name: str) -> list[Adjacent]:
    """Return the nodes at the other ends of a node's tunnels and links."""
    found = []
    for tunnel in topology.tunnels:
        if tunnel.client == name:
            there = tuple(a.ip for a in tunnel.server_at.inner)
            found.append(Adjacent(tunnel.device, tunnel.server, there))
        if tunnel.server == name:
            there = tuple(a.ip for a in tunnel.client_at.inner)
            found.append(Adjacent(tunnel.server_device, tunnel.client, there))
    for here, far in neighbors_of(topology, name):
        found.append(Adjacent(here.interface, far.node, tuple(a.ip for a in far.addresses)))
    return found


def own_peers(topology: Topology, own: OwnRouter) -> tuple[Peer, ...]:
    """Return the neighbours that are certain to be nodes of the topology; others may be found at run time."""
    around = adjacent_nodes(topology, own.node)
    routers = {name for name in topology.nodes if own.protocols and _speaks(topology, name, own.protocols[0])}
    peers: list[Peer] = []
    if "bgp" in own.protocols:
        addresses = {n.address for n in own.neighbors}
        members = {i: name for name, vrf in topology.nodes[own.node].intent.vrfs.items() for i in vrf.interfaces}
        for neighbor in own.neighbors:
            reached = [a for a in around if a.node in routers and members.get(a.interface) == neighbor.vrf]
            peers += _bgp_peers(neighbor, reached, addresses)
    else:
        for family, interfaces in own.interfaces.items():
            peers += [
                Peer(other.node, _of_family(other, family) if family == "ipv4" else None, None, interface, (family,))
                for interface in interfaces
                for other in around
                if other.interface == interface and other.node in routers
            ]
    return tuple(dict.fromkeys(peers))


def _speaks(topology: Topology, name: str, protocol: RoutingProtocol) -> bool:
    """Return whether a node has a router that speaks a protocol."""
    own, intent = topology.own_routers.get(name), topology.nodes[name].intent.router
    return protocol in own.protocols if own is not None else intent is not None and intent.protocol == protocol


def _bgp_peers(neighbor: OwnNeighbor, around: list[Adjacent], addresses: set[Address | None]) -> Iterator[Peer]:
    for other in around:
        if neighbor.address is not None and not neighbor.address.is_link_local:
            if neighbor.address in other.addresses:
                yield Peer(other.node, neighbor.address, neighbor.asn, other.interface, neighbor.families)
        elif neighbor.range is not None:
            for address in other.addresses:
                within = address.version == neighbor.range.version and address in neighbor.range
                if within and address not in addresses:
                    yield Peer(other.node, address, neighbor.asn, other.interface, neighbor.families)
        elif neighbor.interface == other.interface:
            yield Peer(other.node, neighbor.address, neighbor.asn, other.interface, neighbor.families)


def _of_family(other: Adjacent, family: Family) -> Address | None:
    return next((a for a in other.addresses if (a.version == 4) == (family == "ipv4")), None)
