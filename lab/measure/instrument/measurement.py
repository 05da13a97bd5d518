"""The measurement of one event at one observing node, from its cause to the first packet.

    with lab.measure("branch", prefix, probe_from="branch-lan") as m:
        hq.announce(prefix)
    assert m.at("update") <= m.at("rib") <= m.at("fib") <= m.at("first-packet")

The instrument is armed before the block begins: the netlink socket and the captures are open in the observer's
namespace, its daemon exports its RIB, and the probe packets flow. When the block ends the measurement waits until the
change is complete and has lasted a while, and then evaluates the data.
"""

import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.core.outcome import Outcome
from lab.core.prefixes import named
from lab.measure.instrument.armed import Armed, ProbePath
from lab.measure.instrument.convergence import Stream
from lab.measure.instrument.evaluation import Evaluation, ObservedEvent
from lab.measure.instrument.probe import Probes
from lab.measure.record import DataPlane, Moment, Stage, StageName, Status
from lab.observe import FibEntry
from lab.runtime.node import LabNode
from lab.runtime.results import Results
from lab.topology import Prefix

WITHIN = 120.0
"""Seconds that a change may take: with the article's settings OpenVPN gives up a session after 90."""
SETTLE = 0.3
"""Seconds for which a change has to last (Sustained Convergence Validation Time, RFC 6412, section 3.7.5, which
recommends 5 s or more)."""
WATCH = 5.0
"""Seconds in which an interruption may begin, if one is possible but not certain."""

_POLL = 0.01
_INTERRUPTED = 0.03
"""Seconds without a packet that count as an interruption."""
_AWAITED: dict[Outcome | None, str] = {
    "appears": "a route to",
    "vanishes": "no route to",
    "moves": "another next hop or interface for",
    None: "a change of the route to",
}


class Measurement:
    """A context manager around the event; after the block it has the results.

    All times are seconds since the event, on CLOCK_MONOTONIC. With several prefixes a stage is reached when the last
    of them has reached it (full convergence).
    """

    def __init__(
        self,
        observer: LabNode,
        prefixes: Collection[Prefix],
        *,
        results: Results,
        probe: ProbePath | None = None,
        until: Outcome | None = None,
        within: float = WITHIN,
        settle: float = SETTLE,
        watch: float = WATCH,
        rib: bool = True,
        recovery: bool = False,
    ) -> None:
        """Prepare a measurement; see `lab.measure.at` for the arguments."""
        self.observer = observer
        self.prefixes = sorted(prefixes, key=lambda p: (p.version, p))
        self.status: Status = "valid"
        self.reason = ""
        self.stages: tuple[Stage, ...] = ()
        self.data_plane: DataPlane | None = None
        self.timeline: tuple[Moment, ...] = ()
        self.flags: tuple[str, ...] = ()
        self.streams: Sequence[Stream] = ()
        """The probe packets, with their times on CLOCK_MONOTONIC."""
        self.outcome: Outcome | None = until
        """The observed effect on the routes of the prefixes."""
        self.event: float = 0.0
        """Time of the event, on CLOCK_MONOTONIC."""
        self._until, self._within, self._settle, self._watch, self._rib = until, within, settle, watch, rib
        self._probe, self._recovery = probe, recovery
        self._results = results
        self._declared_time: tuple[float, float] | None = None
        self._recorded_time: tuple[float, float] | None = None
        self._listening = ExitStack()
        self._armed: Armed | None = None

    # --- around the event ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._armed = Armed.arm(self.observer, self.prefixes, self._probe, rib=self._rib)
        self._listening.enter_context(self.observer.running.event_times.listening(self._record_time))
        self._entered = time.monotonic()
        return self

    def caused(self, at: float | None = None, error: float = 0.0) -> None:
        """Set the time of the event (CLOCK_MONOTONIC, by default now); it happened no more than `error` later.

        Changes by the lab itself (announcements, withdrawals, faults) have their times in the lab's event times.
        Without them the event is the beginning of the block, and the duration of the block is its error.
        """
        self._declared_time = (time.monotonic() if at is None else at), error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        armed, self._armed = self._armed, None
        assert armed is not None
        with armed:
            if error is not None:
                return
            self.event, uncertainty = self._when(time.monotonic())
            late = ""
            try:
                outcome = self._wait(armed)
            except ExpectationFailed as failure:
                outcome, late = self._until or armed.expected, str(failure)
            seen = armed.finish(self.event)
        caused = ObservedEvent(self.event, uncertainty, outcome, late, self._recovery)
        findings = Evaluation(armed, seen, caused).findings()
        self.status, self.reason = findings.status, findings.reason
        self.stages, self.data_plane = findings.stages, findings.data_plane
        self.timeline, self.flags = findings.timeline, findings.flags
        self.streams = seen.trace.streams if seen.trace else ()
        self.outcome = outcome
        self._results.publish(self.as_dict())

    def _record_time(self, since: float, until: float) -> None:
        """Record the time of an event; several in a block count as one, from the first to the last."""
        first, _ = self._recorded_time or (since, until)
        self._recorded_time = first, until

    def _when(self, left: float) -> tuple[float, float]:
        """Return the earliest time of the event, and the seconds by which it may have been later."""
        if self._declared_time is not None:
            return self._declared_time
        since, until = self._recorded_time or (self._entered, left)
        return since, until - since

    @property
    def sender_pid(self) -> int:
        """The process ID of the sender of probe packets, and of the group of its processes."""
        assert self._armed is not None
        assert self._armed.probes is not None, "nothing is probed"
        return self._armed.probes.pid

    # --- results -------------------------------------------------------------------------------------------

    @property
    def valid(self) -> bool:
        """True if the figures are valid; otherwise `reason` has the cause."""
        return self.status == "valid"

    def stage(self, name: StageName) -> Stage:
        """Return a stage; raises `ExpectationFailed` if it was not reached or could not be observed."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        why = self.reason or "; ".join(self.flags) or f"reached stages are {', '.join(s.name for s in self.stages)}"
        raise ExpectationFailed(f"{self.observer.name}: this event did not reach the stage {name!r}: {why}")

    def at(self, name: StageName) -> float:
        """Return when a stage was reached, in seconds since the event."""
        return self.stage(name).at

    def as_dict(self) -> dict[str, Any]:
        """Return the result as data for JSON: observer, prefixes, and the fields of a `Trial`."""
        return {
            "observer": self.observer.name,
            "prefixes": [str(prefix) for prefix in self.prefixes],
            "outcome": self.outcome,
            "status": self.status,
            "reason": self.reason,
            "stages": [stage.model_dump() for stage in self.stages],
            "data_plane": self.data_plane.model_dump() if self.data_plane else None,
            "timeline": [moment.model_dump() for moment in self.timeline],
            "flags": list(self.flags),
        }

    # --- waiting -------------------------------------------------------------------------------------------

    def _wait(self, armed: Armed) -> Outcome:
        if self._until in ("returns", "nothing"):
            self._wait_for_return(armed)
            return self._until
        self._wait_for_fib(armed)
        outcome = self._until or armed.outcome()
        if armed.probes is not None:
            self._wait_for_packets(armed.probes, flow=outcome != "vanishes")
        else:
            time.sleep(self._settle)
        return outcome

    def _wait_for_fib(self, armed: Armed) -> None:
        fib = self.observer.fib

        def waiting() -> set[Prefix]:
            return {prefix for prefix in self.prefixes if not self._done(armed.before[prefix], fib.route(prefix))}

        wait_for(
            Expectation(
                what=f"{_AWAITED[self._until]} {named(self.prefixes)} in the kernel FIB",
                node=self.observer.name,
                look=waiting,
                met=lambda left: not left,
                seen=lambda left: f"unchanged: {named(left)}",
                logs=self.observer.running.files,
                changed=fib.waiter(),
            ),
            within=self._within,
            since=self.event,
            grace=0,
        )

    def _done(self, before: FibEntry | None, now: FibEntry | None) -> bool:
        if self._until == "appears":
            return now is not None
        if self._until == "vanishes":
            return now is None
        if self._until == "moves":
            return now is not None and now != before
        return now != before

    def _wait_for_packets(self, probes: Probes, *, flow: bool) -> None:
        """Wait until packets arrive at all prefixes, or at none, for `settle` seconds."""
        expected = set(self.prefixes) if flow else set()
        since = time.monotonic()

        def look() -> set[Prefix]:
            """Return the prefixes whose latest packets arrive, once they have been as expected for `settle` seconds."""
            nonlocal since
            if time.monotonic() - since < self._settle:
                return set() if flow else set(self.prefixes)
            arriving = probes.delivered_since(since)
            if arriving != expected:
                since = time.monotonic()
            return arriving

        wait_for(
            Expectation(
                what=f"probe packets {'to arrive at' if flow else 'to stop at'} {named(self.prefixes)}",
                node=self.observer.name,
                look=look,
                met=lambda arriving: arriving == expected,
                seen=lambda arriving: f"they arrive at {named(arriving)}",
                changed=lambda left: time.sleep(min(_POLL, left)),
            ),
            within=self._within,
            since=self.event,
            grace=0,
        )

    def _wait_for_return(self, armed: Armed) -> None:
        """Wait until an interruption begins or `watch` seconds have passed, then for its end."""
        routed = [prefix for prefix in self.prefixes if armed.before[prefix] is not None]
        while time.monotonic() < self.event + self._watch and not self._interrupted(armed, routed):
            time.sleep(_POLL)
        fib = self.observer.fib
        wait_for(
            Expectation(
                what=f"a route to {named(routed)} again",
                node=self.observer.name,
                look=lambda: {prefix for prefix in routed if fib.route(prefix) is None},
                met=lambda left: not left,
                seen=lambda left: f"without {named(left)}",
                logs=self.observer.running.files,
                changed=fib.waiter(),
            ),
            within=self._within,
            since=self.event,
            grace=0,
        )
        if armed.probes is not None:
            self._wait_for_packets(armed.probes, flow=True)
        else:
            time.sleep(self._settle)

    def _interrupted(self, armed: Armed, routed: Sequence[Prefix]) -> bool:
        """Return whether a route differs from before, or packets no longer arrive."""
        if any(self.observer.fib.route(prefix) != armed.before[prefix] for prefix in routed):
            return True
        probes = armed.probes
        return probes is not None and not set(routed) <= probes.delivered_since(probes.sent_until - _INTERRUPTED)
