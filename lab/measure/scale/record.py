"""Records of scale trials: one table announced and withdrawn. Times are seconds since the event was caused."""

from datetime import datetime
from statistics import median
from typing import Literal

from lab.core.prefixes import Family
from lab.measure.record import Over, Record, Seconds, Status


class Cost(Record):
    """Processor time of a process during an event, and its memory at the end."""

    node: str
    program: str
    cpu: Seconds
    """Processor time in seconds."""
    busiest_thread: str
    busiest_cpu: Seconds
    memory: int
    """Bytes."""


class Passage(Record):
    """A whole table, announced or withdrawn, by the FIB of the receiving router."""

    routes: int
    """Number of routes that were added or removed."""
    first: Seconds | None
    last: Seconds | None
    error: Seconds
    """Seconds by which a time may be too late."""
    in_fib: int
    """Number of BGP routes in the FIB afterwards, from a dump."""
    events_lost: bool = False
    """True if the kernel dropped notifications; `last` is then when a dump showed the complete table."""
    costs: tuple[Cost, ...] = ()
    busy: float
    """CPUs of the host that were busy with any program in that time, on average."""

    @property
    def elsewhere(self) -> float:
        """CPUs that were busy with other things than the programs of the two routers."""
        return max(0.0, self.busy - sum(cost.cpu for cost in self.costs) / self.last) if self.last else self.busy

    @property
    def rate(self) -> float | None:
        """Routes per second between the first and the last; None if that time is below ten times its error."""
        if self.first is None or self.last is None or self.last - self.first < _SIGNIFICANT * self.error:
            return None
        return (self.routes - 1) / (self.last - self.first)


class Sending(Record):
    """The time of the sender alone, with a receiver that discards everything."""

    first: Seconds
    last: Seconds
    size: int
    """Bytes of BGP."""
    updates: int
    prefixes: int


class ScaleTrial(Record):
    """One trial: a table announced and withdrawn."""

    kind: Literal["scale"] = "scale"
    family: Family
    prefixes: int
    over: Over
    mode: str = ""
    """The tunnel's mode; empty on the bare wire."""
    transport: str = ""
    openvpn: str = ""
    number: int
    """Counted from 1."""
    seed: int
    paths: int
    """Number of distinct AS paths in the table."""
    started: datetime
    status: Status
    reason: str = ""
    sent: Sending | None = None
    sent_back: Sending | None = None
    """The same for the withdrawal."""
    announced: Passage | None = None
    withdrawn: Passage | None = None

    def held_back_by(self) -> str:
        """Return what limited the announcement: a thread that was always busy, or the host."""
        passage = self.announced
        if passage is None or passage.last is None:
            return ""
        if passage.last < _SHORT:
            return "too short to tell"
        busiest = max(passage.costs, key=lambda cost: cost.busiest_cpu, default=None)
        if busiest is not None and busiest.busiest_cpu >= _ALWAYS_BUSY * passage.last:
            return f"{busiest.program} on {busiest.node}, one thread ({busiest.busiest_thread})"
        return f"no thread alone: {passage.busy:.1f} CPUs were busy, {passage.elsewhere:.1f} of them elsewhere"


_SIGNIFICANT = 10
"""Multiple of its error above which a time span is significant."""
_SHORT = 0.5
"""Seconds below which processor time, counted in hundredths, is too coarse."""
_ALWAYS_BUSY = 0.85
"""Share of the time from which on a thread counts as always busy; it shares its processor with its peers."""


class Line(Record):
    """The medians of the trials of one size over one medium."""

    family: Family
    prefixes: int
    over: Over
    trials: int
    invalid: int
    first: Seconds | None
    last: Seconds | None
    rate: float | None
    withdrawn: Seconds | None
    """Until the last route was gone."""
    sent: Seconds | None
    """Until the sender alone had sent the table."""
    size: int | None
    ratio: float | None
    """Ratio of `last` to that of the bare wire."""
    memory: dict[str, int]
    """Bytes, by program and node."""
    cpu: dict[str, Seconds]
    """Processor time of the announcement, by program and node."""
    cpu_total: Seconds | None
    cpu_ratio: float | None
    """Ratio of `cpu_total` to that of the bare wire: the cost of the tunnel, also on a busy host."""
    busy: float | None
    held_back_by: str


def lines(trials: list[ScaleTrial]) -> list[Line]:
    """Summarize trials by family and size, the bare wire before the tunnel."""
    groups: dict[tuple[str, int], dict[str, list[ScaleTrial]]] = {}
    for trial in sorted(trials, key=lambda t: (t.family, t.prefixes)):
        groups.setdefault((trial.family, trial.prefixes), {}).setdefault(trial.over, []).append(trial)
    found = []
    for media in groups.values():
        wire = _line(media.get("wire", []), None)
        found += [line for over in ("wire", "tunnel") if (line := _line(media.get(over, []), wire)) is not None]
    return found


def _line(trials: list[ScaleTrial], wire: Line | None) -> Line | None:
    if not trials:
        return None
    valid = [trial for trial in trials if trial.status == "valid"]
    passages = [trial.announced for trial in valid if trial.announced]
    sent = [trial.sent for trial in valid if trial.sent]
    names = sorted({(cost.program, cost.node) for passage in passages for cost in passage.costs})
    costs = {
        f"{program} on {node}": [c for p in passages for c in p.costs if (c.program, c.node) == (program, node)]
        for program, node in names
    }
    last = _median([passage.last for passage in passages])
    spent = _median([sum(cost.cpu for cost in passage.costs) for passage in passages])
    typical = min(valid, key=lambda t: abs(((t.announced and t.announced.last) or 0.0) - (last or 0.0)), default=None)
    return Line(
        family=trials[0].family,
        prefixes=trials[0].prefixes,
        over=trials[0].over,
        trials=len(valid),
        invalid=len(trials) - len(valid),
        first=_median([passage.first for passage in passages]),
        last=last,
        rate=_median([passage.rate for passage in passages]),
        withdrawn=_median([trial.withdrawn.last for trial in valid if trial.withdrawn]),
        sent=_median([sending.last for sending in sent]),
        size=sent[0].size if sent else None,
        ratio=last / wire.last if wire and wire.last and last else None,
        memory={name: int(median(cost.memory for cost in found)) for name, found in costs.items()},
        cpu={name: median(cost.cpu for cost in found) for name, found in costs.items()},
        cpu_total=spent,
        cpu_ratio=spent / wire.cpu_total if wire and wire.cpu_total and spent else None,
        busy=_median([passage.busy for passage in passages]),
        held_back_by=typical.held_back_by() if typical else "",
    )


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
