"""The node that has an address now: what a router with files of the user's calls a neighbour."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from lab.core.errors import LabError
from lab.core.prefixes import Address
from lab.engine.devices import addresses
from lab.engine.node import RunningNode
from lab.routing import Neighbor
from lab.routing.own_peers import adjacent_nodes
from lab.topology import Topology


@dataclass(frozen=True)
class AddressBook:
    """The addresses of all nodes, read when they are first needed."""

    topology: Topology
    nodes: Mapping[str, RunningNode]

    @cached_property
    def _holders(self) -> Mapping[Address, tuple[str, ...]]:
        found: dict[Address, list[str]] = {}
        for name, node in self.nodes.items():
            try:
                held = node.namespace.run(addresses) if node.namespace.exists else ()
            except LabError:  # it has just ended
                continue
            for address in held:
                if not address.is_loopback:
                    found.setdefault(address, []).append(name)
        return {address: tuple(names) for address, names in found.items()}

    def node_of(self, here: str, neighbor: Neighbor) -> str:
        """Return the node of a neighbour of the router `here`; empty if it is none of the lab, or not known.

        Several nodes may have the same link-local address, so the interface decides between them.
        """
        around = adjacent_nodes(self.topology, here)
        near = [a.node for a in around if a.interface == neighbor.interface] or [a.node for a in around]
        if neighbor.address is None:
            return near[0] if neighbor.interface and len(set(near)) == 1 else ""
        holders = [name for name in self._holders.get(neighbor.address, ()) if name != here]
        close = [name for name in holders if name in near]
        if neighbor.address.is_link_local:
            holders = close
        return next(iter([*close, *holders]), "")
