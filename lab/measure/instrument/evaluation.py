"""Evaluation of a measurement's raw data: stages, times, and flags for anomalies."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lab.core.outcome import Outcome
from lab.core.prefixes import named
from lab.measure.instrument import updates
from lab.measure.instrument.armed import Armed, Seen
from lab.measure.instrument.changes import History
from lab.measure.instrument.convergence import (
    Stream,
    disagreement,
    first_packet,
    loss_derived,
    loss_of_connectivity,
    rate_derived,
    route_specific,
    until_back,
    until_stopped,
)
from lab.measure.instrument.probe import Trace
from lab.measure.instrument.updates import Crossing
from lab.measure.record import STAGES, DataPlane, Moment, Stage, StageName, Status
from lab.topology import Prefix

_LOSSY = 0.01
"""Share of packets that a path may lose without an event before it is flagged."""
_TOO_LOSSY = 0.2
"""Share above which losses are due to the path's capacity and not to the event."""
_LISTED = 20
"""Number of prefixes whose changes are listed in the timeline."""
_UNCERTAIN = 0.01
"""Uncertainty of the event's time, in seconds, above which it is flagged."""


@dataclass(frozen=True)
class ObservedEvent:
    """The event of a measurement and its outcome."""

    time: float
    """Seconds of CLOCK_MONOTONIC."""
    uncertainty: float
    """Uncertainty of the time in seconds, to either side."""
    outcome: Outcome
    late: str = ""
    """The expectation that was not met in time; empty if all were."""
    recovery: bool = False
    """True if it undoes an earlier event, so that traffic comes back which flowed before that."""


@dataclass(frozen=True)
class Findings:
    """The results of a measurement; the fields are those of `Trial`."""

    status: Status
    reason: str
    stages: tuple[Stage, ...]
    data_plane: DataPlane | None
    timeline: tuple[Moment, ...]
    flags: tuple[str, ...]


class Evaluation:
    """The evaluation of one event."""

    def __init__(self, armed: Armed, seen: Seen, event: ObservedEvent) -> None:
        self._armed, self._seen = armed, replace(seen, trace=seen.trace and _with_changes(seen.trace, seen.history))
        self._event, self._outcome, self._late, self._uncertainty = (
            event.time,
            event.outcome,
            event.late,
            event.uncertainty,
        )
        self._recovery = event.recovery
        self._node, self._prefixes = armed.observer.name, armed.prefixes
        self._flows = event.outcome != "vanishes"
        self._changed = {
            prefix: change
            for prefix in armed.prefixes
            if (change := seen.history.settled(prefix, event.time)) is not None
        }

    def findings(self) -> Findings:
        """Return stages, data plane, timeline, flags and status."""
        reached = [
            Stage(name="event", node=self._node, at=0.0, error=self._uncertainty, source="caused"),
            self._detection(),
            self._update(),
            self._rib(),
            self._fib(),
            self._first_packet(),
        ]
        stages = tuple(stage for stage in reached if stage is not None)
        why = self._invalid()
        return Findings(
            status="invalid" if why else "timed-out" if self._late else "valid",
            reason=why or self._late,
            stages=stages,
            data_plane=self._data_plane(),
            timeline=tuple(sorted(self._moments(), key=lambda moment: moment.at)),
            flags=tuple(self._flags(stages)),
        )

    # --- stages --------------------------------------------------------------------------------------------

    def _since(self, at: float) -> float:
        return at - self._event

    def _before_fib(self, prefix: Prefix, time: float, error: float) -> bool:
        """Return whether a time is early enough to belong to the cause of a prefix's last change in the FIB."""
        change = self._changed.get(prefix)
        return change is None or time <= change.time + error

    def _detection(self) -> Stage | None:
        """Return the stage at which the first neighbour was declared down."""
        error = self._rib_error()
        last = max((change.time for change in self._changed.values()), default=float("inf"))
        for event in self._seen.rib:
            if event.what == "down" and event.time <= last + error:
                return self._stage("detection", event.time, self._rib_error(event.time), self._source)
        return None

    def _update(self) -> Stage | None:
        error = updates.ERROR + self._seen.clock.error
        times = [
            max(
                (
                    crossing.time
                    for crossing in self._seen.crossings
                    if prefix in crossing.update.announced | crossing.update.withdrawn
                    and self._before_fib(prefix, crossing.time, error + self._fib_error(crossing.time))
                ),
                default=None,
            )
            for prefix in self._prefixes
        ]
        return self._last("update", times, lambda _: error, "capture")

    def _rib(self) -> Stage | None:
        if self._armed.monitor is None:
            return None
        what = "best" if self._flows else "gone"
        times = []
        for prefix in self._prefixes:
            mine = [event.time for event in self._seen.rib if event.prefix == prefix and event.what == what]
            before = [time for time in mine if self._before_fib(prefix, time, self._rib_error(time))]
            times.append(before[-1] if before else mine[0] if mine else None)
        return self._last("rib", times, self._rib_error, self._source)

    def _fib(self) -> Stage | None:
        times = [change.time if (change := self._changed.get(prefix)) else None for prefix in self._prefixes]
        if self._late and self._outcome not in ("returns", "nothing"):
            done = [(c.entry is not None) == self._flows for c in self._changed.values()]
            if not all(done):
                return None
        return self._last("fib", times, self._fib_error, "netlink")

    def _first_packet(self) -> Stage | None:
        trace = self._seen.trace
        if trace is None or not self._flows:
            return None
        time = first_packet(trace.streams, self._event)
        return None if time is None else self._stage("first-packet", time, self._packet_error(trace), "probe")

    def _last(
        self, name: StageName, times: Sequence[float | None], error: Callable[[float], float], source: str
    ) -> Stage | None:
        """Return the stage at the time of the last prefix; None if one did not reach it."""
        known = [time for time in times if time is not None]
        if not known or len(known) < len(times):
            return None
        return self._stage(name, max(known), error(max(known)), source)

    def _stage(self, name: StageName, at: float, error: float, source: str) -> Stage:
        return Stage(name=name, node=self._node, at=self._since(at), error=error, source=source)

    # --- errors --------------------------------------------------------------------------------------------

    @property
    def _source(self) -> str:
        return self._armed.monitor.source if self._armed.monitor is not None else ""

    def _fib_error(self, at: float) -> float:
        return self._seen.recorded.error(at)

    def _rib_error(self, at: float | None = None) -> float:
        monitor = self._armed.monitor
        if monitor is None:
            return 0.0
        if monitor.socket is None:
            return monitor.error + self._seen.clock.error
        return monitor.error + self._seen.recorded.error(self._event if at is None else at)

    def _packet_error(self, trace: Trace) -> float:
        """Return the interval between two packets of known times, plus the largest delay in sending one."""
        distance = 2 if any(stream.unsure for stream in trace.streams) else 1
        return distance / trace.sent.rate + trace.sent.late(self._event) + self._seen.clock.error

    # --- data plane ----------------------------------------------------------------------------------------

    def _data_plane(self) -> DataPlane | None:
        trace = self._seen.trace
        if trace is None:
            return None
        streams, rate, event, flows = trace.streams, trace.sent.rate, self._event, self._flows
        counts = [stream.counts(event) for stream in streams]
        error = self._packet_error(trace)
        # Packets that left while the event was being caused may have passed before it.
        with_event = error + self._uncertainty
        flowed = set(self._prefixes) <= self._armed.flowing
        times = {stream.prefix: route_specific(stream, event, rate, error=with_event) for stream in streams}
        full = 0.5 if self._background(trace) else 1.0
        return DataPlane(
            rate=rate,
            achieved=trace.sent.achieved(event),
            late=max(0.0, trace.sent.late(event)),
            real_time=not trace.sent.no_real_time,
            sent=sum(c.sent for c in counts),
            received=sum(c.received for c in counts),
            lost=sum(c.lost for c in counts),
            duplicated=sum(c.duplicated for c in counts),
            reordered=sum(c.reordered for c in counts),
            lost_in_a_row=_longest_loss(streams, event),
            outage=self._outage(trace),
            until_stopped=until_stopped(streams, event, flows=flows, error=with_event) if flowed else None,
            until_back=until_back(streams, event) if flows and (flowed or self._recovery) else None,
            loss_derived=loss_derived(streams, event, rate, error=with_event) if flows else None,
            loss_of_connectivity=loss_of_connectivity(streams, event, rate) if flows and flowed else None,
            rate_derived=rate_derived(streams, event, full=full) if flows else None,
            route_specific={p: time for p, time in times.items() if time is not None} if flows else {},
            error=error,
        )

    def _outage(self, trace: Trace) -> int:
        """Return the number of packets of the longest outage; 0 without one."""
        return max((len(stream.outage(self._event) or ()) for stream in trace.streams), default=0)

    def _background(self, trace: Trace) -> float:
        """Return the share of packets that the path loses without an event: of those sent after the outage, if any."""
        sent = lost = 0
        for stream in trace.streams if self._flows else ():
            since = self._event
            if stream.outage(self._event) is not None:
                first = stream.recovered(self._event)
                if first is None:
                    continue
                since = stream.sent[first]
            counts = stream.counts(since)
            sent, lost = sent + counts.sent, lost + counts.lost
        return lost / sent if sent else 0.0

    # --- flags ---------------------------------------------------------------------------------------

    def _flags(self, stages: Sequence[Stage]) -> Iterator[str]:
        if self._uncertainty > _UNCERTAIN:
            yield f"the event is known to ±{self._uncertainty * 1000:.1f} ms only"
        if self._armed.unmonitored:
            yield self._armed.unmonitored
        monitor = self._armed.monitor
        if monitor is not None and monitor.socket is not None and self._seen.recorded.ended[-1]:
            yield "the routing daemon ended, so its RIB was no longer monitored"
        if any(self._seen.recorded.lost[1:]):
            yield "the kernel dropped captured packets: an UPDATE may be missing or have too late a time"
        at = {stage.name: stage for stage in stages}
        for one, other in pairwise(at[name] for name in STAGES if name in at and name != "detection"):
            if other.at + other.error < one.at - one.error:
                yield f"{other.name} came {_ms(one.at - other.at)} before {one.name}"
        for prefix in self._prefixes:
            if not self._flows and self._seen.history.returned(prefix, self._event):
                yield f"{prefix}: the route came back meanwhile"
        if self._seen.trace is not None:
            detected = any(stage.name == "detection" for stage in stages)
            yield from self._flags_of_packets(self._seen.trace, detected=detected)

    def _flags_of_packets(self, trace: Trace, *, detected: bool) -> Iterator[str]:
        prefixes = {str(prefix): prefix for prefix in self._prefixes}
        silent = [p for p in self._prefixes if self._armed.before[p] is not None and p not in self._armed.flowing]
        if silent:
            yield f"no probe packet arrived at {named(silent)} before the event, although there was a route"
        if trace.sent.no_real_time:
            yield f"the sender of probe packets had no real-time priority: {trace.sent.no_real_time}"
        if (background := self._background(trace)) > _LOSSY:
            yield f"the path loses {background:.1%} of the packets without an event"
        if self._flows and (longest := _longest_loss(trace.streams, self._event)) and not self._outage(trace):
            yield (
                f"packets were lost, {longest} in a row at most: chance may lose as many, so they are not taken for an "
                "interruption"
            )
        for stream in trace.streams:
            change = self._changed.get(prefixes[stream.prefix])
            window = stream.changed(self._event, flows=self._flows)
            if self._flows and change is not None and not stream.counts(self._event).received:
                yield f"no probe packet arrived at {stream.prefix}, although there is a route"
            if change is None or window is None:
                continue
            error = self._fib_error(change.time) + trace.sent.late(self._event) + self._seen.clock.error
            apart = disagreement(change.time, window, error)
            if apart < 0 and detected:  # the fault stopped the packets before it was detected
                continue
            if apart:
                yield (
                    f"{stream.prefix}: the packets changed {_ms(abs(apart))} {'after' if apart > 0 else 'before'} the "
                    f"FIB, beyond the error of {_ms(error)}"
                )

    def _invalid(self) -> str:
        """Return why the figures are invalid; empty if they are valid."""
        if self._seen.recorded.lost[0]:
            return "the kernel dropped route events: the recorder was too slow"
        if self._seen.clock.was_set:
            return f"the clock was set during the measurement: by {_ms(self._seen.clock.drift)}"
        trace = self._seen.trace
        if trace is None:
            return ""
        if trace.lost_by_receiver:
            return "the kernel dropped probe packets at the receiver: its buffer was full"
        if trace.sent.refused:
            return f"the sender's kernel refused packets: {trace.sent.refused} look like lost ones"
        if behind := trace.sent.fell_behind(self._event):
            return behind
        if (lossy := self._background(trace)) > _TOO_LOSSY:
            return (
                f"the probe rate exceeds the capacity of the path: it loses {lossy:.0%} of the packets without an event"
            )
        return ""

    # --- timeline ------------------------------------------------------------------------------------------

    def _moments(self) -> list[Moment]:
        seen = self._seen
        found = [
            *((c.time, str(c)) for c in seen.history.changes if c.prefix in self._prefixes[:_LISTED]),
            *((when, f"{interface} {'up' if up else 'down'}") for when, interface, up in seen.history.links),
            *((c.time, _describe(c)) for c in seen.crossings),
            *((e.time, f"neighbour {e.peer or ''} {e.what}") for e in seen.rib if e.prefix is None),
            *((e.time, f"{e.prefix} {e.what} in the RIB") for e in seen.rib if e.prefix in self._prefixes[:_LISTED]),
        ]
        return [Moment(at=self._since(when), node=self._node, what=what) for when, what in found if when >= self._event]


def _with_changes(trace: Trace, history: History) -> Trace:
    """Return the packets with the times at which the routes to their prefixes changed."""
    streams = [
        replace(stream, changes=[c.time for c in history.changes if str(c.prefix) == stream.prefix])
        for stream in trace.streams
    ]
    return replace(trace, streams=streams)


def _longest_loss(streams: Sequence[Stream], event: float) -> int:
    """Return the number of packets of the longest run that was lost since the event; 0 if none was."""
    return max((len(run) for stream in streams for run in stream.losses(event)), default=0)


def _describe(crossing: Crossing) -> str:
    announced, withdrawn = crossing.update.announced, crossing.update.withdrawn
    parts = [f"announces {named(announced)}"] if announced else []
    parts += [f"withdraws {named(withdrawn)}"] if withdrawn else []
    return f"UPDATE {' and '.join(parts)}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
