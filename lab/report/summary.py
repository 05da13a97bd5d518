"""The summary of a run: the statistics of its trials, per event. Pure functions.

Statistics use valid trials only. The others are counted, and listed with the reason.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lab.measure.machines import set_apart
from lab.measure.record import Over, Run, RunDirectory, Trial, Variant
from lab.measure.shard import Shard
from lab.measure.statistics import Ratio, Round, Summary, ratio_in_blocks, ratio_in_rounds, summarize
from lab.report.quantities import CONTROL_PLANE, DATA_PLANE, QUANTITIES, Quantity

BASELINES: tuple[Over, ...] = ("wire", "vxlan")


@dataclass(frozen=True)
class Group:
    """All trials of one variant."""

    variant: Variant
    trials: tuple[Trial, ...]

    @cached_property
    def valid(self) -> tuple[Trial, ...]:
        """The valid trials."""
        return tuple(trial for trial in self.trials if trial.status == "valid")

    def count(self, status: str) -> int:
        """Return the number of trials with a status."""
        return sum(trial.status == status for trial in self.trials)

    @property
    def lacking(self) -> int:
        """The number of trials of which every attempt was invalid."""
        return len({t.number for t in self.trials} - {t.number for t in self.trials if t.status != "invalid"})

    def values(self, quantity: Quantity) -> list[float]:
        """Return the values of a quantity in all valid trials that have it."""
        return [value for trial in self.valid if (value := quantity.of(trial)) is not None]

    def by_number(self, quantity: Quantity) -> dict[int, float]:
        """Return a quantity's values by trial number; equal numbers of two variants are the same round."""
        return {trial.number: value for trial in self.valid if (value := quantity.of(trial)) is not None}


@dataclass(frozen=True)
class Row:
    """One quantity of one variant."""

    group: Group
    quantity: Quantity
    summary: Summary | None
    """None without a valid trial."""
    error: float | None
    """The largest error among the values."""
    ratios: dict[Over, Ratio] = field(default_factory=dict)
    """Ratios to the medians of the baselines of the run."""

    @property
    def variant(self) -> Variant:
        """The variant."""
        return self.group.variant


@dataclass(frozen=True)
class EventSummary:
    """The groups and rows of one event."""

    event: str
    groups: tuple[Group, ...]
    rows: tuple[Row, ...]

    def rows_of(self, quantity: Quantity) -> list[Row]:
        """Return the rows of one quantity that have values."""
        return [row for row in self.rows if row.quantity.key == quantity.key and row.summary]

    @property
    def shown(self) -> list[Quantity]:
        """The quantities in the figures: one of the control plane and one of the data plane, if there are any."""
        return [found for keys in (CONTROL_PLANE, DATA_PLANE) if (found := self._first(keys))]

    def _first(self, keys: Sequence[str]) -> Quantity | None:
        """Return the quantity that most rows have; on a tie, the first one."""
        found = [(key, len([row for row in self.rows if row.quantity.key == key and row.summary])) for key in keys]
        key, count = max(found, key=lambda pair: pair[1])
        return next(q for q in QUANTITIES if q.key == key) if count else None


@dataclass(frozen=True)
class RunSummary:
    """A run and its summary."""

    run: Run
    trials: tuple[Trial, ...]
    events: tuple[EventSummary, ...]
    missing: tuple[Shard, ...] = ()
    """The shards of the plan whose trials are not here."""

    @property
    def groups(self) -> dict[Variant, Group]:
        """All trials by variant."""
        return {group.variant: group for event in self.events for group in event.groups}

    @property
    def thrown_away(self) -> Counter[str]:
        """The number of invalid trials by cause, the most frequent first."""
        return Counter(dict(Counter(t.cause for t in self.trials if t.status == "invalid").most_common()))

    @property
    def short(self) -> dict[Variant, int]:
        """The number of trials that a variant lacks, because none of their attempts was valid."""
        return {variant: lacking for variant, group in self.groups.items() if (lacking := group.lacking)}

    @property
    def left_out(self) -> list[Trial]:
        """The trials that are not valid."""
        return [trial for trial in self.trials if trial.status != "valid"]

    @property
    def flagged(self) -> list[Trial]:
        """The valid trials that have a flag."""
        return [trial for trial in self.trials if trial.status == "valid" and trial.flags]

    @property
    def foreign_load(self) -> list[float]:
        """CPUs busy with other programs during each trial, as far as known."""
        return [trial.foreign_load for trial in self.trials if trial.foreign_load is not None]


def read(directory: RunDirectory) -> RunSummary:
    """Read and summarize a run; raises `InputError` if there is none or a line is malformed."""
    return summary_of(directory.run(), directory.trials())


def summary_of(run: Run, trials: Iterable[Trial], missing: tuple[Shard, ...] = ()) -> RunSummary:
    """Summarize a run; events are in the order in which they first occurred."""
    trials = tuple(set_apart(run, tuple(trials)))
    by_variant: dict[Variant, list[Trial]] = {}
    for trial in trials:
        by_variant.setdefault(trial.variant, []).append(trial)
    groups = [Group(variant, tuple(found)) for variant, found in by_variant.items()]
    events: dict[str, list[Group]] = {}
    for group in sorted(groups, key=lambda g: _order(g.variant)):
        events.setdefault(group.variant.event, []).append(group)
    first = dict.fromkeys(trial.variant.event for trial in trials)
    return RunSummary(run, trials, tuple(_event(name, events[name], run.seed) for name in first), missing)


def baseline_of(group: Group, over: Over, groups: Iterable[Group]) -> Group | None:
    """Return the baseline of a variant over a tunnel: the same event, detector and family over another medium.

    If the variant's own topology has no baseline at all, one of another topology is used, provided it is the only one.
    """
    mine = group.variant
    if mine.baseline:
        return None
    found = [
        other
        for other in groups
        if other.variant.baseline
        and (other.variant.event, other.variant.detector, other.variant.family, other.variant.on)
        == (mine.event, mine.detector, mine.family, mine.on)
    ]
    same = [other for other in found if other.variant.topology == mine.topology]
    candidates = [other for other in same or found if other.variant.over == over]
    return candidates[0] if len(candidates) == 1 else None


def _event(name: str, groups: Sequence[Group], seed: int) -> EventSummary:
    return EventSummary(name, tuple(groups), tuple(_rows(groups, seed)))


def _rows(groups: Sequence[Group], seed: int) -> Iterator[Row]:
    for group in groups:
        baselines = {over: found for over in BASELINES if (found := baseline_of(group, over, groups))}
        rows = 0
        for quantity in QUANTITIES:
            values = group.values(quantity)
            if not values:
                continue
            rows += 1
            errors = [error for trial in group.valid if (error := quantity.error(trial)) is not None]
            ratios = {
                over: ratio
                for over, baseline in baselines.items()
                if (ratio := _ratio(group, baseline, quantity, seed)) is not None
            }
            yield Row(group, quantity, summarize(values), max(errors, default=None), ratios)
        if not rows:
            yield Row(group, QUANTITIES[0], None, None)


def _ratio(group: Group, baseline: Group, quantity: Quantity, seed: int) -> Ratio | None:
    blocks = list(by_block(group, baseline, quantity).values())
    several = len({trial.machine for trial in (*group.valid, *baseline.valid)}) > 1
    return ratio_in_blocks(blocks, seed=seed) if several else ratio_in_rounds(blocks, seed=seed)


def by_block(group: Group, baseline: Group, quantity: Quantity) -> dict[int, Round]:
    """Return the values of two variants by the number that their trials have in common."""
    mine, theirs = group.by_number(quantity), baseline.by_number(quantity)
    return {n: (mine.get(n), theirs.get(n)) for n in sorted(mine.keys() | theirs.keys())}


def _order(variant: Variant) -> tuple[object, ...]:
    """Return the sort key of a variant: compared variants are adjacent, tunnels before baselines."""
    return (
        variant.topology,
        variant.on,
        variant.detector,
        variant.family,
        variant.baseline,
        variant.over,
        str(variant),
    )
