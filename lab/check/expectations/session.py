"""`session`: a router's session or adjacency with another node is up, with families and prefixes; or it is down."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from lab.check.model import Expected, Problem, Result, Start
from lab.check.problems import no_router, unknown_node
from lab.check.waiting import wait
from lab.core.expect import Expectation
from lab.core.prefixes import FAMILIES, Family
from lab.routing import BfdState, Neighbor
from lab.runtime.lab import Lab
from lab.runtime.questions import NoSession, explain
from lab.topology import Topology
from lab.topology.mistakes import did_you_mean, one_of, quote


class SessionState(Expected):
    """A BGP session, an OSPF adjacency or a RIP neighbour is up or down."""

    kind = "session"
    summary = "a router's session with another node is up, with families and prefixes received; or it is down"

    session: str
    """The node at the other end."""
    node: str
    """The router that is asked."""
    state: Literal["up", "down"] = "up"
    """Up means Established (BGP), Full (OSPF), or that updates arrive (RIP)."""
    families: tuple[Family, ...] | None = None
    """BGP: the address families that both ends negotiated, no others."""
    received: Mapping[str, int] = {}
    """BGP: how many prefixes of a family were received and accepted, as `{ipv4: 1, ipv6: 1}`."""
    bfd: Literal["up", "down"] | None = None
    """The state of the BFD session with the neighbour."""

    def __str__(self) -> str:
        wanted = [
            f"with {' and '.join(self.families)}" if self.families else "",
            _prefixes(self.received),
            f"BFD {self.bfd}" if self.bfd else "",
        ]
        return ", ".join([f"session of {self.node} with {self.session} is {self.state}", *filter(None, wanted)])

    @property
    def place(self) -> str:
        """The router."""
        return self.node

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown nodes and families."""
        yield from no_router(topology, "node", self.node)
        yield from unknown_node(topology, "session", self.session)
        if self.session == self.node:
            yield Problem("session", f"{self.node} has no session with itself", "name the node at the other end")
        for family in self.received:
            if family not in FAMILIES:
                hint = did_you_mean(family, FAMILIES) or f"families are {one_of(FAMILIES)}"
                yield Problem("received", f"{quote(family)} is not a family", hint)

    def check(self, lab: Lab, start: Start) -> Result:
        """Ask the daemon until it reports what is expected."""
        router = lab.router(self.node)
        return wait(
            Expectation(
                what=str(self),
                node=self.node,
                look=lambda: router.neighbors_at(self.session),
                met=self._met,
                seen=lambda found: "; ".join(map(_describe, found)),
                logs=router.running.files,
                explain=(lambda: explain(lab, NoSession(self.node, self.session))) if self.state == "up" else None,
            ),
            start,
            evidence=lambda found: map(_describe, found),
        )

    def _met(self, found: Sequence[Neighbor]) -> bool:
        if self.bfd is not None and any((each.bfd is BfdState.UP) != (self.bfd == "up") for each in found):
            return False
        if self.state == "down":
            return not any(each.up for each in found)
        if not all(each.up for each in found):
            return False
        counts: dict[str, int] = {}
        for each in found:  # each family can have a session of its own
            for family, count in each.prefixes_received.items():
                counts[family] = counts.get(family, 0) + count
        same_families = self.families is None or set(counts) == set(self.families)
        return same_families and all(counts.get(family) == count for family, count in self.received.items())


def _describe(found: Neighbor) -> str:
    reset = f"last reset: {found.last_reset}" if found.last_reset and not found.up else ""
    bfd = f"BFD {found.bfd}" if found.bfd else ""
    return ", ".join(filter(None, [str(found.state), _prefixes(found.prefixes_received), bfd, reset]))


def _prefixes(received: Mapping[Family, int] | Mapping[str, int]) -> str:
    counts = ", ".join(f"{count} {family}" for family, count in received.items())
    return f"prefixes received: {counts}" if counts else ""
