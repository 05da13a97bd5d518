"""`path`: the nodes and tunnels that a packet crosses, there and back."""

from collections.abc import Iterable, Sequence

from lab.check.follow import Chain, chains, follow, lines
from lab.check.model import Expected, Problem, Result, Start
from lab.check.probes import Answer, cause_of, declared_families, destinations
from lab.check.waiting import pause, wait
from lab.core.expect import Expectation
from lab.core.prefixes import Family
from lab.runtime.lab import Lab
from lab.topology import Topology
from lab.topology.mistakes import did_you_mean, quote
from lab.why.tracer import Traced


class PacketPath(Expected):
    """The path of a packet between two nodes."""

    kind = "path"
    summary = "the nodes and tunnels that a packet and its answer cross"

    path: tuple[str, ...]
    """The nodes and tunnels in order, from the sender to the receiver, as in `[branch-lan, branch, branch-hq, hq,
    hq-lan]`; not the nodes that carry it encrypted."""
    back: tuple[str, ...] | None = None
    """The nodes and tunnels of the answer, from the receiver to the sender; by default the same path backwards."""
    family: Family | None = None
    """The address family; by default all that both ends have."""

    def __str__(self) -> str:
        back = f", back {_arrows(self.back)}" if self.back is not None else ""
        return f"packets take {_arrows(self.path)}{back}{f' ({self.family})' if self.family else ''}"

    @property
    def place(self) -> str:
        """The node that sends."""
        return self.path[0]

    @property
    def backwards(self) -> tuple[str, ...]:
        """The path of the answer."""
        return self.path[::-1] if self.back is None else self.back

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown names, and paths without two ends."""
        tunnels = [tunnel.name for tunnel in topology.tunnels]
        known = [*topology.nodes, *tunnels]
        for key, path in (("path", self.path), ("back", self.back or ())):
            for name in path:
                if name not in known:
                    hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
                    yield Problem(key, f"there is no node or tunnel {quote(name)}", hint)
        ends = [self.path[:1], self.path[-1:]]
        if len(self.path) < 2 or any(name in tunnels and name not in topology.nodes for end in ends for name in end):
            yield Problem("path", "a path has a node at both its ends", "as in [branch-lan, branch, branch-hq, hq]")
        elif self.back is not None and (self.back[:1], self.back[-1:]) != (self.path[-1:], self.path[:1]):
            yield Problem("back", f"the answer goes from {self.path[-1]} to {self.path[0]}", "begin and end with them")
        elif self.family and (families := declared_families(topology, self.path[-1])) and self.family not in families:
            yield Problem(
                "family", f"{self.path[-1]} has no {self.family} address", f"leave it out, or say {families[0]}"
            )

    def check(self, lab: Lab, start: Start) -> Result:
        """Send packets and capture them everywhere, until one of each family takes the path."""
        ends = destinations(lab, self.path[0], self.path[-1], self.family)
        last: Sequence[Traced] = ()

        def look() -> Sequence[Traced]:
            nonlocal last
            last = [follow(lab, self.path[0], receiver, address) for receiver, address in ends]
            return last

        def cause() -> str:
            lost = next((each for each in last if each.lost), None)
            return cause_of(lab, Answer(lost.sender, lost.receiver, lost.probe, lost.sent)) if lost else ""

        return wait(
            Expectation(
                what=str(self),
                node=self.path[0],
                look=look,
                met=lambda found: all(chains(lab, each) == (self.path, self.backwards) for each in found),
                seen=lambda found: "; ".join(_describe(each, *chains(lab, each)) for each in found),
                logs=lab.directory,
                changed=pause,
                explain=cause,
            ),
            start,
            evidence=lambda found: (line for each in found for line in lines(each)),
        )


def _describe(traced: Traced, there: Chain, back: Chain) -> str:
    to = traced.probe.destination
    if not there:
        return f"the packet to {to} did not leave {traced.sender}"
    if not back:
        return f"to {to} by {_arrows(there)}, no answer"
    return f"to {to} by {_arrows(there)}, back {_arrows(back)}"


def _arrows(path: Sequence[str]) -> str:
    return " > ".join(path)
