"""Checks of names in a file against the topology: nodes, routers, tunnels, links, interfaces, addresses."""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address

from lab.check.model import Problem
from lab.core.prefixes import Address
from lab.topology import Topology
from lab.topology.mistakes import did_you_mean, quote
from lab.topology.segments import endpoints_of


def unknown_node(topology: Topology, key: str, name: str) -> Iterator[Problem]:
    """Yield the problem of a name that no node has."""
    yield from _unknown(key, "node", name, topology.nodes)


def no_router(topology: Topology, key: str, name: str) -> Iterator[Problem]:
    """Yield the problem of a node that runs no routing daemon of the lab."""
    routers = [node for node, entry in topology.nodes.items() if _is_router(topology, node) and not entry.external]
    if name in topology.nodes and name not in routers:
        there = f"routers are {', '.join(routers)}" if routers else "this topology has no router"
        yield Problem(key, f"node {quote(name)} is not a router", there)
    else:
        yield from unknown_node(topology, key, name)


def unknown_tunnel(topology: Topology, key: str, name: str | None) -> Iterator[Problem]:
    """Yield the problem of a name that no tunnel has."""
    if name is not None:
        yield from _unknown(key, "tunnel", name, [tunnel.name for tunnel in topology.tunnels])


def unknown_link_end(topology: Topology, key: str, names: Iterable[str]) -> Iterator[Problem]:
    """Yield the problems of texts that are not an end `NODE:INTERFACE` of a link."""
    known = [f"{e.node}:{e.interface}" for link in topology.links for e in link.endpoints]
    for name in names:
        yield from _unknown(key, "end of a link", name, known)


def unknown_interface(topology: Topology, key: str, node: str, names: Iterable[str]) -> Iterator[Problem]:
    """Yield the problems of interfaces that a node of the lab's own files does not have."""
    if node not in topology.nodes or any(process.node == node for process in topology.processes):
        return
    known = ["lo", *(e.interface for e in endpoints_of(topology, node))]
    known += [tunnel.device for tunnel in topology.tunnels if tunnel.client == node]
    known += [tunnel.server_device for tunnel in topology.tunnels if tunnel.server == node]
    for name in names:
        yield from _unknown(key, f"interface of {node}", name, dict.fromkeys(known))


def unknown_target(topology: Topology, key: str, name: str) -> Iterator[Problem]:
    """Yield the problem of a target that is neither a node nor an address."""
    if address_of(name) is None:
        yield from _unknown(key, "node", name, topology.nodes, "; or give an address")


def address_of(text: str) -> Address | None:
    """Return a text as an address; None for a name."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_router(topology: Topology, node: str) -> bool:
    return topology.nodes[node].intent.router is not None or node in topology.own_routers


def _unknown(key: str, kind: str, name: str, known: Collection[str], more: str = "") -> Iterator[Problem]:
    if name not in known:
        there = f"there are {', '.join(known)}" if known else f"this topology has no {kind}"
        yield Problem(key, f"there is no {kind} {quote(name)}", did_you_mean(name, known) or f"{there}{more}")
