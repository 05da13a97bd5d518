"""`nothing-in-clear`: packets between two nodes are not seen in clear on a link."""

import time
from collections.abc import Iterable, Sequence

from pydantic import Field

from lab.check.follow import follow
from lab.check.model import Expected, Problem, Result, Start, Verdict
from lab.check.probes import destinations
from lab.check.problems import unknown_link_end, unknown_node, unknown_target
from lab.check.waiting import elapsed, pause
from lab.core.prefixes import Family
from lab.runtime.lab import Lab
from lab.topology import Topology
from lab.why.tracer import Traced


class NothingInClear(Expected):
    """No packet between two nodes is seen in clear on links."""

    kind = "nothing-in-clear"
    summary = "no packet between two nodes is seen in clear on a link; a single one fails it"

    nothing_in_clear: str | tuple[str, ...]
    """An end `NODE:INTERFACE` of the link, or a list of ends."""
    source: str = Field(alias="from")
    """The node that sends packets for this."""
    target: str = Field(alias="to")
    """The node or the address to which it sends them."""
    family: Family | None = None
    """The address family; by default all that both have."""
    within: float | None = Field(default=None, ge=0, le=3600)
    """Seconds from the step in which packets are sent; by default one packet of each family."""

    last = True

    def __str__(self) -> str:
        family = f" ({self.family})" if self.family else ""
        return f"nothing from {self.source} to {self.target} in clear on {' or '.join(self.links)}{family}"

    @property
    def links(self) -> tuple[str, ...]:
        """The ends of the links."""
        return (self.nothing_in_clear,) if isinstance(self.nothing_in_clear, str) else self.nothing_in_clear

    @property
    def place(self) -> str:
        """The first link."""
        return self.links[0] if self.links else ""

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown links and nodes."""
        if not self.links:
            yield Problem("nothing-in-clear", "no link is given", "name one end, NODE:INTERFACE")
        yield from unknown_link_end(topology, "nothing-in-clear", self.links)
        yield from unknown_node(topology, "from", self.source)
        yield from unknown_target(topology, "to", self.target)

    def check(self, lab: Lab, start: Start) -> Result:
        """Send marked packets, and look for the mark in all that passes the links."""
        ends = destinations(lab, self.source, self.target, self.family)
        end = start.time + self.within if self.within is not None else 0.0
        rounds: list[Traced] = []
        while True:
            for receiver, address in ends:
                traced = follow(lab, self.source, receiver, address)
                rounds.append(traced)
                if seen := self._in_clear(traced):
                    text = f"a packet to {address} in clear: {seen[0]}"
                    return Result(Verdict.FAILED, text, elapsed(start), logs=lab.directory, evidence=seen)
            if (left := end - time.monotonic()) <= 0:
                return self._nothing_seen(rounds, start)
            pause(left)

    def _in_clear(self, traced: Traced) -> tuple[str, ...]:
        """Return where the packet or its answer was seen on the links, also inside another packet."""
        mark = traced.sent.token
        return tuple(
            f"{each.node} {each.where}: {each.packet.source} to {each.packet.destination}, {each.packet.size} bytes"
            for each in traced.captured
            if f"{each.node}:{each.interface}" in self.links and mark in each.raw.data
        )

    def _nothing_seen(self, rounds: Sequence[Traced], start: Start) -> Result:
        """Return the result if no packet was seen: it says nothing about packets that were not sent."""
        sent = {each.probe.destination for each in rounds if each.way(1, "request")}
        if silent := sorted(str(each.probe.destination) for each in rounds if each.probe.destination not in sent):
            text = f"{self.source} sent no packet to {', '.join(dict.fromkeys(silent))}: it has no route"
            return Result(Verdict.CANNOT_TELL, text, elapsed(start))
        answered = sum(not each.lost for each in rounds)
        text = f"none of {len(rounds)} packets in clear, {answered} answered"
        return Result(Verdict.HELD, text, elapsed(start), evidence=(text,))
