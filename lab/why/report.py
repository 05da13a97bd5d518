"""The findings of `lab why` as data: the verdict, the cause, and the hops of one packet, there and back."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.runtime.lab import Lab
from lab.why.cause import Cause, Explanation
from lab.why.journey import Hop
from lab.why.kernel import Lookup, route_of
from lab.why.tracer import Traced


@dataclass(frozen=True)
class HopReport:
    """A node on the way of the packet."""

    way: str
    """`there`, `back`, or `outer` for a node that the tunnel's own packet crosses."""
    node: str
    arrives_on: str
    """The interface; empty at the sender."""
    leaves_on: str
    """The interface; empty at the receiver, and where the packet is lost."""
    milliseconds: float
    """The time since the packet was sent, at its last capture on the node."""
    route: str
    """The kernel's route for the packet; empty for a node that does not route it."""


@dataclass(frozen=True)
class WhyReport:
    """The verdict about one destination."""

    sender: str
    receiver: str
    """The node with the destination; empty if no node of the lab has it."""
    destination: str
    packet: str
    """The packet in words."""
    sent: int
    passed: int
    """The packets that arrived and were answered; a datagram needs no answer."""
    answered: int
    passes: bool
    """True if all passed."""
    sentence: str
    """The cause and the mend in one sentence; or that nothing is wrong."""
    causes: tuple[Cause, ...]
    apart: str
    """The observation that is missing, or that would tell several causes apart."""
    shown: int
    """The number of the packet whose hops are shown: the first one that was lost, else the first."""
    hops: tuple[HopReport, ...]


def report(lab: Lab, traced: Traced, explanation: Explanation) -> WhyReport:
    """Return what was found about one destination."""
    number = traced.shown
    there = _rows(lab, "there", traced, traced.way(number, "request"))
    hops = [
        *(there or [_unsent(lab, traced)]),
        *_rows(lab, "back", traced, traced.way(number, "reply")),
    ]
    passes = not traced.lost
    return WhyReport(
        sender=traced.sender,
        receiver=traced.receiver,
        destination=str(traced.probe.destination),
        packet=str(traced.probe),
        sent=traced.probe.count,
        passed=len(traced.passed),
        answered=len(traced.sent.answered),
        passes=passes,
        sentence=_passing(traced)
        if passes
        else str(explanation) or "cannot tell why: nothing was seen that explains it",
        causes=explanation.causes,
        apart=explanation.apart,
        shown=number,
        hops=tuple(hops),
    )


def _passing(traced: Traced) -> str:
    nodes = [hop.node for hop in traced.way(traced.shown, "request")]
    path = f" over {', '.join(nodes[1:-1])}" if len(nodes) > 2 else ""
    what = f"{traced.probe.destination}{f' ({traced.receiver})' if traced.receiver else ''}"
    if traced.sent.answered:
        return f"nothing is wrong: {traced.sender} reaches {what}{path}, and the answer comes back"
    return (
        f"nothing is wrong: the packets of {traced.sender} arrive at {what}{path}; no answer was needed, and none came"
    )


def _rows(lab: Lab, way: str, traced: Traced, hops: Sequence[Hop]) -> list[HopReport]:
    started = traced.sent.times.get(traced.shown, traced.sent.started)
    return [
        HopReport(
            way=way,
            node=hop.node,
            arrives_on=hop.arrived.interface if hop.arrived else "",
            leaves_on=hop.left.interface if hop.left else "",
            milliseconds=round((hop.last.time - started) * 1000, 2),
            route=str(lookup) if (lookup := lookup_at(lab, hop)) else "",
        )
        for hop in hops
    ]


def _unsent(lab: Lab, traced: Traced) -> HopReport:
    """Return the sender of a packet that was captured nowhere, with its route."""
    route = route_of(lab.running_nodes[traced.sender].namespace, traced.probe.source, traced.probe.destination)
    return HopReport("there", traced.sender, "", "", 0.0, str(route))


def lookup_at(lab: Lab, hop: Hop) -> Lookup | None:
    """Return the kernel's answer for the packet at a hop; None for a bridge, or if the node has ended."""
    namespace = lab.running_nodes[hop.node].namespace
    if lab.topology.nodes[hop.node].is_bridge or not namespace.exists:
        return None
    packet = hop.arrived.packet if hop.arrived else hop.last.packet
    return route_of(namespace, packet.source, packet.destination, hop.arrived.interface if hop.arrived else "")
