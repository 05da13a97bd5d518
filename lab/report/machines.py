"""The machines of a run beside each other: the spread of their ratios, and which of them stands out. Pure functions."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from lab.measure.record import Over
from lab.measure.statistics import holm, rank_test, ratios_within
from lab.report.comparison import LEVEL
from lab.report.quantities import Quantity
from lab.report.summary import BASELINES, EventSummary, Group, RunSummary, baseline_of, by_block


@dataclass(frozen=True)
class MachineRow:
    """One quantity of one variant on one machine, beside all other machines of the run."""

    group: Group
    quantity: Quantity
    over: Over | None
    """The baseline of the ratios within blocks; None for the values of a variant without a baseline."""
    machine: str
    values: tuple[float, ...]
    others: tuple[float, ...]
    p: float
    """The p-value of a rank test against the other machines, after Holm's correction for all rows."""

    @property
    def stands_out(self) -> bool:
        """True if the machine differs from the others beyond the noise."""
        return self.p <= LEVEL

    @property
    def median(self) -> float:
        """The machine's median."""
        return median(self.values)

    @property
    def of_others(self) -> float:
        """The median of the other machines."""
        return median(self.others)


def machine_rows(summary: RunSummary) -> list[MachineRow]:
    """Return the machines of each variant in the quantities of the figures; none in a run on one machine."""
    found = [row for event in summary.events for row in _of_event(event)]
    tests = [rank_test(values, others).p for *_, values, others in found]
    return [MachineRow(*row, p) for row, p in zip(found, holm(tests), strict=True)]


def standing_out(rows: list[MachineRow]) -> dict[str, list[MachineRow]]:
    """Return the machines that stand out, each with the rows in which it does."""
    found: dict[str, list[MachineRow]] = {}
    for row in rows:
        if row.stands_out:
            found.setdefault(row.machine, []).append(row)
    return found


_Row = tuple[Group, Quantity, Over | None, str, tuple[float, ...], tuple[float, ...]]


def _of_event(event: EventSummary) -> Iterator[_Row]:
    for group in event.groups:
        for quantity in event.shown:
            baselines = {over: found for over in BASELINES if (found := baseline_of(group, over, event.groups))}
            overs: list[Over | None] = [*baselines]
            for over in overs or [None]:
                by_machine = _values(group, baselines[over] if over else None, quantity)
                for machine, values in by_machine.items() if len(by_machine) > 1 else ():
                    others = tuple(v for name, more in by_machine.items() if name != machine for v in more)
                    yield group, quantity, over, machine, values, others


def _values(group: Group, baseline: Group | None, quantity: Quantity) -> dict[str, tuple[float, ...]]:
    """Return the ratios within blocks by machine, or the values without a baseline."""
    machines = {trial.number: trial.machine for trial in group.valid}
    found: dict[str, list[float]] = {}
    if baseline is None:
        for number, value in group.by_number(quantity).items():
            found.setdefault(machines[number], []).append(value)
    else:
        for number, pair in by_block(group, baseline, quantity).items():
            if number in machines:
                found.setdefault(machines[number], []).extend(ratios_within([pair]))
    return {machine: tuple(values) for machine, values in sorted(found.items()) if values}
