"""The instrument: one event at one observing router, watched from its cause to the first packet.

    with lab.measure("branch", prefix, probe_from="branch-lan") as m:
        hq.announce(prefix)
    assert m.at("update") <= m.at("rib") <= m.at("fib") <= m.at("first-packet")

Everything is armed before the block begins: the netlink socket and the captures are open in the observer's namespace,
its daemon tells of its RIB, and the probe packets flow. When the block ends the instrument waits until the change is
done, and a while longer, and then works everything out.
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
from lab.measure.trials.record import DataPlane, Moment, Stage, StageName, Status
from lab.observe import FibEntry
from lab.runtime.node import LabNode
from lab.runtime.results import Results
from lab.topology import Prefix

WITHIN = 120.0
"""Seconds that a change may take: an OpenVPN session of the article's settings is given up after 90."""
SETTLE = 0.3
"""Seconds for which it has to last (Sustained Convergence Validation Time, RFC 6412, section 3.7.5)."""
WATCH = 5.0
"""Seconds in which an interruption is waited for, where there may be none."""

_POLL = 0.01
_INTERRUPTED = 0.03
"""Seconds without a packet that are an interruption."""
_AWAITED: dict[Outcome | None, str] = {
    "appears": "a route to",
    "vanishes": "no route any more to",
    "moves": "another way to",
    None: "a change of the way to",
}


class Measurement:
    """Use it as a context manager; see the module's words. After the block it holds the results.

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
    ) -> None:
        """Arm nothing yet. See `Lab.measure` for what the arguments mean."""
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
        """What became of the prefixes."""
        self.event: float = 0.0
        """When the event was caused, on CLOCK_MONOTONIC."""
        self._until, self._within, self._settle, self._watch, self._rib = until, within, settle, watch, rib
        self._probe = probe
        self._results = results
        self._said: tuple[float, float] | None = None
        self._told: tuple[float, float] | None = None
        self._listening = ExitStack()
        self._armed: Armed | None = None

    # --- around the event ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._armed = Armed.arm(self.observer, self.prefixes, self._probe, rib=self._rib)
        self._listening.enter_context(self.observer.running.event_times.listening(self._hear))
        self._entered = time.monotonic()
        return self

    def caused(self, at: float | None = None, error: float = 0.0) -> None:
        """Say when the event happened (CLOCK_MONOTONIC; now, if nothing is said), no more than `error` later.

        What the lab itself causes (announcements, withdrawals, faults) has its time recorded in the lab's event times.
        Without either the event is the beginning of the block, and what the block took is its error.
        """
        self._said = (time.monotonic() if at is None else at), error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        armed, self._armed = self._armed, None
        assert armed is not None
        with armed:
            if error is not None:
                return
            self.event, doubt = self._when(time.monotonic())
            late = ""
            try:
                outcome = self._wait(armed)
            except ExpectationFailed as failure:
                outcome, late = self._until or armed.likely, str(failure)
            seen = armed.finish(self.event)
        findings = Evaluation(armed, seen, ObservedEvent(self.event, doubt, outcome, late)).findings()
        self.status, self.reason = findings.status, findings.reason
        self.stages, self.data_plane = findings.stages, findings.data_plane
        self.timeline, self.flags = findings.timeline, findings.flags
        self.streams = seen.trace.streams if seen.trace else ()
        self.outcome = outcome
        self._results.publish(self.as_dict())

    def _hear(self, since: float, until: float) -> None:
        """Several acts in a block are one event, from the first to the last."""
        first, _ = self._told or (since, until)
        self._told = first, until

    def _when(self, left: float) -> tuple[float, float]:
        """When the event was, and by how much later it may have been."""
        if self._said is not None:
            return self._said
        since, until = self._told or (self._entered, left)
        return since, until - since

    @property
    def sender_pid(self) -> int:
        """The process that sends the probe packets."""
        assert self._armed is not None
        assert self._armed.probes is not None, "nothing is probed"
        return self._armed.probes.pid

    # --- results -------------------------------------------------------------------------------------------

    @property
    def valid(self) -> bool:
        """Whether the figures count; `reason` says why not."""
        return self.status == "valid"

    def stage(self, name: StageName) -> Stage:
        """A stage; raises `ExpectationFailed` where it was not reached, or nobody could tell."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        why = self.reason or "; ".join(self.flags) or f"there are {', '.join(s.name for s in self.stages)}"
        raise ExpectationFailed(f"{self.observer.name}: there is no stage {name!r} of this event: {why}")

    def at(self, name: StageName) -> float:
        """When a stage was reached, in seconds since the event."""
        return self.stage(name).at

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what was measured where, and the fields of a `Trial` that tell what was found."""
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
                seen=lambda left: f"as before: {named(left)}",
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
        """Wait until packets flow to all prefixes, or to none, and go on doing so."""
        wanted = set(self.prefixes) if flow else set()
        since = time.monotonic()

        def look() -> set[Prefix]:
            """The prefixes whose packets, of those that were just sent, arrive; once they do (or not) for a while."""
            nonlocal since
            if time.monotonic() - since < self._settle:
                return set() if flow else set(self.prefixes)
            arriving = probes.delivered_since(since)
            if arriving != wanted:
                since = time.monotonic()
            return arriving

        wait_for(
            Expectation(
                what=f"probe packets {'to arrive at' if flow else 'to stop at'} {named(self.prefixes)}",
                node=self.observer.name,
                look=look,
                met=lambda arriving: arriving == wanted,
                seen=lambda arriving: f"they arrive at {named(arriving)}",
                changed=lambda left: time.sleep(min(_POLL, left)),
            ),
            within=self._within,
            since=self.event,
            grace=0,
        )

    def _wait_for_return(self, armed: Armed) -> None:
        """Wait for an interruption, or that there is none, and for its end."""
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
        """Whether a route is another than before, or packets do not arrive any more."""
        if any(self.observer.fib.route(prefix) != armed.before[prefix] for prefix in routed):
            return True
        probes = armed.probes
        return probes is not None and not set(routed) <= probes.delivered_since(probes.sent_until - _INTERRUPTED)
