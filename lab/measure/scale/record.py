"""One table's way through a session and back, as it is written down; times are seconds since the event was caused."""

from datetime import datetime
from statistics import median
from typing import Literal

from lab.core.prefixes import Family
from lab.measure.trials.record import Over, Record, Seconds, Status


class Cost(Record):
    """What a process spent during an event, and what it occupied at its end."""

    node: str
    program: str
    cpu: Seconds
    """Processor time."""
    busiest_thread: str
    busiest_cpu: Seconds
    memory: int
    """Bytes."""


class Passage(Record):
    """A whole table, announced or withdrawn, as the kernel of the far router saw it."""

    routes: int
    """So many came, or went."""
    first: Seconds | None
    last: Seconds | None
    error: Seconds
    """A time may be late by so much."""
    in_fib: int
    """BGP routes in the kernel's table afterwards, from a dump."""
    events_lost: bool = False
    """The kernel dropped notifications; `last` is when the table itself was seen complete."""
    costs: tuple[Cost, ...] = ()
    busy: float
    """CPUs of the machine that were busy meanwhile, on average, whoever kept them so."""

    @property
    def elsewhere(self) -> float:
        """CPUs that were busy with anything but the programs of the two routers: the kernel's own work, and others'."""
        return max(0.0, self.busy - sum(cost.cpu for cost in self.costs) / self.last) if self.last else self.busy

    @property
    def rate(self) -> float | None:
        """Routes per second between the first and the last; None where that time is no more than its own error."""
        if self.first is None or self.last is None or self.last - self.first < _CLEARLY * self.error:
            return None
        return (self.routes - 1) / (self.last - self.first)


class Sending(Record):
    """What the sender needs by itself: the table's way to a receiver that keeps nothing."""

    first: Seconds
    last: Seconds
    size: int
    """Bytes of BGP."""
    updates: int
    prefixes: int


class ScaleTrial(Record):
    """One table, once."""

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
    """Different AS paths in the table."""
    started: datetime
    status: Status
    reason: str = ""
    sent: Sending | None = None
    sent_back: Sending | None = None
    """The same for the withdrawal."""
    announced: Passage | None = None
    withdrawn: Passage | None = None

    def held_back_by(self) -> str:
        """What kept the announcement from being faster: a thread that never rested, or the machine."""
        passage = self.announced
        if passage is None or passage.last is None:
            return ""
        if passage.last < _SHORT:
            return "too short to tell"
        busiest = max(passage.costs, key=lambda cost: cost.busiest_cpu, default=None)
        if busiest is not None and busiest.busiest_cpu >= _NEVER_RESTS * passage.last:
            return f"{busiest.program} on {busiest.node}, one thread ({busiest.busiest_thread})"
        return f"no thread alone: {passage.busy:.1f} CPUs were busy, {passage.elsewhere:.1f} of them elsewhere"


_CLEARLY = 10
"""A time span that is so many times its error tells something."""
_SHORT = 0.5
"""Seconds in which processor time, which is counted in hundredths, says little."""
_NEVER_RESTS = 0.85
"""Of the time: what a thread can have of a processor that it shares with what it talks to."""


class Line(Record):
    """The trials of one size over one medium, in their medians."""

    family: Family
    prefixes: int
    over: Over
    trials: int
    invalid: int
    first: Seconds | None
    last: Seconds | None
    rate: float | None
    withdrawn: Seconds | None
    """Until the last route had gone."""
    sent: Seconds | None
    """Until the sender alone had sent all."""
    size: int | None
    ratio: float | None
    """Of `last` to the bare wire's."""
    memory: dict[str, int]
    """Bytes, by program and node."""
    cpu: dict[str, Seconds]
    """Of the announcement, by program and node."""
    cpu_total: Seconds | None
    cpu_ratio: float | None
    """Of that to the bare wire's: what the tunnel costs, however busy others keep the machine."""
    busy: float | None
    held_back_by: str


def lines(trials: list[ScaleTrial]) -> list[Line]:
    """Sum trials up, by family and size; the bare wire before the tunnel."""
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
