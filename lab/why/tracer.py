"""Send marked packets from a node to an address, and follow each of them through the lab, there and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lab.core.prefixes import Address
from lab.observe.counters import counters
from lab.runtime.lab import Lab
from lab.why.journey import Hop, journey
from lab.why.probe import Probe, Role, Sent, Sign, recognise, send
from lab.why.watch import Captured, Watch

_SETTLE = 0.02
"""Seconds that the captures continue after the last answer, so that they have what was still on its way."""


@dataclass(frozen=True)
class Traced:
    """The packets of one probe, with the captures of them and their answers."""

    sender: str
    receiver: str
    """The node that has the destination; empty if no node of the lab has it."""
    probe: Probe
    sent: Sent
    captured: Sequence[Captured]
    """All IP packets of the lab in that time."""
    signs: Sequence[tuple[Captured, Sign]]
    """The captured packets of the probe, and their answers."""
    starts: Mapping[int, int] = field(default_factory=dict)
    """The initial sequence number of each connection, by the packet's number."""
    bridges: frozenset[str] = frozenset()
    before: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    after: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """The counters of each node's kernel before and after the probe."""

    def way(self, number: int, role: Role) -> tuple[Hop, ...]:
        """Return the way of one packet, or of its reply."""
        return journey((seen for seen, sign in self.signs if sign == Sign(number, role)), self.bridges)

    def errors(self, number: int) -> list[Captured]:
        """Return the ICMP messages about one packet or its reply, where they were sent first."""
        first: dict[tuple[Address, tuple[int, int] | None], Captured] = {}
        for seen, sign in self.signs:
            if sign == Sign(number, "error"):
                first.setdefault((seen.packet.source, seen.packet.icmp), seen)
        return list(first.values())

    @cached_property
    def arrived(self) -> frozenset[int]:
        """The packets that reached the node of the destination."""
        return frozenset(
            sign.number
            for seen, sign in self.signs
            if sign.role == "request" and seen.node == self.receiver and not seen.outgoing and not seen.raw.foreign
        )

    @cached_property
    def passed(self) -> frozenset[int]:
        """The packets that were answered; a datagram needs no answer, and passes by its arrival."""
        failed = self.sent.errors.keys()
        if self.probe.protocol == "udp" and self.receiver:
            # A kernel limits the rate of its ICMP messages, so one counts for all packets.
            refused = any(sign.role == "error" for _, sign in self.signs)
            return frozenset() if refused else (self.arrived | self.sent.answered) - failed
        return frozenset(self.sent.answered - failed)

    @property
    def lost(self) -> list[int]:
        """The other packets."""
        return [number for number in range(1, self.probe.count + 1) if number not in self.passed]

    @property
    def shown(self) -> int:
        """The packet whose hops are shown: the first lost one, else the first."""
        return (self.lost or [1])[0]

    def counted(self, node: str, name: str) -> int:
        """Return by how much a counter of a node rose."""
        return self.after.get(node, {}).get(name, 0) - self.before.get(node, {}).get(name, 0)


def trace(lab: Lab, sender: str, receiver: str, probe: Probe) -> Traced:
    """Send the packets and return what was seen of them.

    `receiver` is the node with the destination, if it is known. Raises `InputError` if the sender does not run.
    """
    running = lab.running(sender)
    nodes = {name: node for name, node in lab.running_nodes.items() if node.namespace.exists}
    before = {name: counters(node.namespace) for name, node in nodes.items()}
    with Watch(nodes) as watch:
        sent = send(running.namespace, probe, settle=_SETTLE)
        captured = watch.stop()
    after = {name: counters(node.namespace) for name, node in nodes.items()}
    starts: dict[int, int] = {}
    signs = [(seen, sign) for seen in captured if (sign := recognise(probe, sent, starts, seen.packet)) is not None]
    if probe.protocol == "syn":
        sent.answered = {
            s.number for seen, s in signs if s.role == "reply" and (seen.node, seen.outgoing) == (sender, False)
        }
    bridges = frozenset(name for name, node in lab.topology.nodes.items() if node.is_bridge)
    return Traced(sender, receiver, probe, sent, captured, signs, starts, bridges, before, after)
