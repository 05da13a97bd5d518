"""The place at which a packet was lost: a node, the packet as it came there, and how to send it once more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.core.errors import LabError
from lab.core.prefixes import Address, Family, family_of
from lab.engine.namespace import Namespace
from lab.fault.base import Record
from lab.runtime.lab import Lab
from lab.why.cause import Cause, Observation
from lab.why.journey import Hop
from lab.why.kernel import Interface, Lookup, interfaces, neighbours, route_of
from lab.why.packet import Packet
from lab.why.watch import Captured

Matches = Callable[[Packet], bool]
"""Return whether a captured packet is one of those that are looked for."""


@dataclass(frozen=True)
class Place:
    """A node that got a packet, or has it to send, and from which it did not go on."""

    lab: Lab
    node: str
    source: Address
    destination: Address
    size: int
    """Bytes of the IP packet."""
    df: bool
    words: str
    """The packet in words, as in `the packet`, `the answer`, `the packet of tunnel branch-hq`."""
    again: Callable[[], Matches]
    """Send such packets once more, and return how they are recognised."""
    way: tuple[Hop, ...] = ()
    """The hops at which it was captured, this node last; empty at the sender if it did not send it."""
    captured: Sequence[Captured] = ()
    """All packets that were captured in the lab at the same time."""
    lost: int = 1
    sent: int = 1
    """The number of packets that were lost, and that were sent."""

    @property
    def hop(self) -> Hop | None:
        """The hop at this node; None at the sender if the packet was not captured there."""
        return self.way[-1] if self.way else None

    @property
    def bridge(self) -> bool:
        """True if the node is a bridge, which routes nothing."""
        return self.lab.topology.nodes[self.node].is_bridge

    @property
    def received(self) -> bool:
        """True if it came to this node, for which it is, and did not go on."""
        return self.hop is not None and self.hop.left is None and not self.bridge and self.lookup.local

    @property
    def arrived(self) -> str:
        """The interface that it came in by; empty at its sender."""
        return self.hop.arrived.interface if self.hop is not None and self.hop.arrived is not None else ""

    @property
    def family(self) -> Family:
        """Its family."""
        return family_of(self.destination)

    @property
    def namespace(self) -> Namespace:
        """The node's network namespace."""
        return self.lab.running_nodes[self.node].namespace

    @cached_property
    def lookup(self) -> Lookup:
        """The kernel's answer which route it takes."""
        return route_of(self.namespace, self.source, self.destination, self.arrived)

    @cached_property
    def interfaces(self) -> dict[str, Interface]:
        """The node's interfaces by name."""
        return interfaces(self.namespace)

    @cached_property
    def neighbours(self) -> dict[tuple[str, Address], str]:
        """The states of the node's neighbours."""
        return neighbours(self.namespace)

    def sees(self, source: str, seen: str, node: str = "") -> Observation:
        """Return an observation at this node."""
        return Observation(node or self.node, source, seen)

    def cause(self, kind: str, what: str, mend: str, *evidence: Observation, node: str = "") -> Cause:
        """Return a cause at this node; `what` begins behind the node's name."""
        at = node or self.node
        seen = (self.last_seen, *evidence) if self.hop is not None else evidence
        return Cause(kind, at, f"{at} {what}", mend, seen)

    @property
    def last_seen(self) -> Observation:
        """The last capture of the packet, as evidence."""
        assert self.hop is not None
        return Observation(self.node, f"capture on {self.hop.last.interface}", f"{self.hop.last.packet}")

    def faults(self) -> list[Record]:
        """Return the faults in force; empty if they cannot be read."""
        try:
            return self.lab.faults
        except LabError:
            return []
