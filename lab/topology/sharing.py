"""Namespaces that a node does not have of its own: it shares the host's, or those of another container."""

from collections.abc import Mapping

from lab.topology.intent import NodeIntent
from lab.topology.mistakes import Findings, quote
from lab.topology.model import Node
from lab.topology.source import Tree

_CONTAINER = "container:"


def shared_network(node: Node) -> str | None:
    """Return the node or container whose network namespace a node shares, or None."""
    return _container(node.network_mode)


def shared_processes(node: Node) -> str | None:
    """Return the node or container whose PID namespace a node shares, or None."""
    return _container(node.pid_mode)


def needed_first(node: Node) -> list[str]:
    """Return the nodes and containers that run before a node, because it shares namespaces of theirs."""
    return [name for name in (shared_network(node), shared_processes(node)) if name is not None]


def _container(mode: str) -> str | None:
    return mode.removeprefix(_CONTAINER) if mode.startswith(_CONTAINER) else None


def check_sharing(nodes: Mapping[str, Node], keys: Mapping[str, Mapping[str, Tree]], findings: Findings) -> None:
    """Check the nodes that share a namespace with the host or with another container."""
    for name, node in nodes.items():
        modes = {"network-mode": (node.network_mode, "network"), "pid-mode": (node.pid_mode, "PID")}
        for key, (mode, kind) in modes.items():
            if mode != "host" and not mode.startswith(_CONTAINER):
                continue
            at = keys[name][key]
            if node.intent != NodeIntent():
                what = f"{quote(name)} has keys of the lab's, which need a {kind} namespace of its own"
                findings.add(at, what, "write 'network-mode: none'" if kind == "network" else "leave it out")
            target = _container(mode)
            if target in nodes and name in _reached(str(target), nodes):
                findings.add(at, f"{quote(name)} waits for the {kind} namespace of {quote(target)}, which waits for it")
        if not shares_network(node):
            continue
        for key in ("ports", "mgmt-ipv4", "mgmt-ipv6", "aliases"):
            if key in keys[name]:
                findings.add(keys[name][key], f"{key!r} needs the management network, and the node is not in it")


def shares_network(node: Node) -> bool:
    """Return True if a node is in the network namespace of the host or of another container."""
    return node.network_mode == "host" or shared_network(node) is not None


def _reached(first: str, nodes: Mapping[str, Node]) -> set[str]:
    """Return a node and all that run before it."""
    found, left = set[str](), [first]
    while left:
        name = left.pop()
        if name in nodes and name not in found:
            found.add(name)
            left += needed_first(nodes[name])
    return found
