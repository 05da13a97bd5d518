"""The links of a node, the nodes that share a link or a bridge with it, and its static routes."""

from collections.abc import Mapping
from ipaddress import IPv4Network, ip_address, ip_network

from lab.core.prefixes import Address, Prefix
from lab.topology.intent import StaticRoute
from lab.topology.model import Endpoint, Topology


def endpoints_of(topology: Topology, node: str) -> list[Endpoint]:
    """Return the endpoints of a node, in the file's order."""
    return [e for link in topology.links for e in link.endpoints if e.node == node]


def neighbors_of(topology: Topology, node: str) -> list[tuple[Endpoint, Endpoint]]:
    """Return the pairs of an own and another node's endpoint that share a link or a bridge."""
    pairs = []
    for here in endpoints_of(topology, node):
        pairs += [(here, there) for there in _segment(topology, here) if there.node != node]
    return pairs


def static_routes(topology: Topology) -> Mapping[str, list[tuple[Prefix, Address]]]:
    """Return the static routes of each node, with their next hops as addresses."""
    return {
        name: [entry for route in node.intent.routes for entry in _resolved(topology, name, route)]
        for name, node in topology.nodes.items()
    }


def _segment(topology: Topology, start: Endpoint) -> list[Endpoint]:
    """Return all endpoints that a frame from `start` reaches, without those of bridges."""
    found: list[Endpoint] = []
    seen = {(start.node, start.interface)}
    todo = [start]
    while todo:
        here = todo.pop()
        for link in topology.links:
            if here not in link.endpoints:
                continue
            for there in link.endpoints:
                if (there.node, there.interface) in seen:
                    continue
                seen.add((there.node, there.interface))
                if topology.nodes[there.node].is_bridge or there.bridge:
                    ends = endpoints_of(topology, there.node)
                    ports = [e for e in ends if e != there and e.bridge == there.bridge]
                    seen.update((p.node, p.interface) for p in ports)
                    todo += ports
                else:
                    found.append(there)
    return found


def _resolved(topology: Topology, name: str, route: StaticRoute) -> list[tuple[Prefix, Address]]:
    if route.via in topology.nodes:
        hops: list[Address] = []
        for here, there in neighbors_of(topology, name):
            if there.node == route.via:
                hops += [
                    far.ip
                    for near, far in ((here.ipv4, there.ipv4), (here.ipv6, there.ipv6))
                    if near is not None and far is not None
                ]
    else:
        hops = [ip_address(route.via)]
    resolved: list[tuple[Prefix, Address]] = []
    for hop in hops:
        anywhere = ip_network("0.0.0.0/0" if hop.version == 4 else "::/0")
        prefix = anywhere if isinstance(route.to, str) else route.to
        if isinstance(prefix, IPv4Network) == (hop.version == 4):
            resolved.append((prefix, hop))
    return list(dict(resolved).items())
