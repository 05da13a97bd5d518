"""The comparison of two runs: which differences exceed the noise. Pure functions."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lab.measure.record import Environment, Variant
from lab.measure.statistics import RankTest, Ratio, Summary, holm, rank_test, ratio_of_samples, smallest_p, summarize
from lab.report.quantities import QUANTITIES, Quantity
from lab.report.summary import Group, RunSummary

LEVEL = 0.05
"""The significance level: the chance of any false difference, after Holm's correction."""


class Verdict(StrEnum):
    """The result for one quantity."""

    MORE = "more"
    LESS = "less"
    NOISE = "within the noise"
    TOO_FEW = "too few trials to tell"


@dataclass(frozen=True)
class Difference:
    """One quantity of one variant, in both runs."""

    variant: Variant
    quantity: Quantity
    before: Summary
    after: Summary
    ratio: Ratio | None
    """The second run's median divided by the first run's."""
    test: RankTest
    """The second run against the first: a positive delta means more in the second."""
    p: float
    """The test's p-value, after Holm's correction for all quantities and variants compared."""
    verdict: Verdict

    @property
    def exceeds_noise(self) -> bool:
        """True if the runs differ in the quantity."""
        return self.verdict in (Verdict.MORE, Verdict.LESS)


@dataclass(frozen=True)
class Comparison:
    """Two runs: the differences in what both measured, and the variants that only one has."""

    before: RunSummary
    after: RunSummary
    differences: tuple[Difference, ...]
    only_before: tuple[Variant, ...]
    only_after: tuple[Variant, ...]
    incomparable: tuple[Variant, ...]
    """Variants of both runs that have no valid trial in one of them."""
    environment: tuple[tuple[str, str, str], ...]
    """The differences of host and software: name, value before, value after."""

    @property
    def beyond_noise(self) -> list[Difference]:
        """The differences that exceed the noise."""
        return [found for found in self.differences if found.exceeds_noise]

    @property
    def moved_baselines(self) -> list[Difference]:
        """The differences of baselines: they come from the host, and affect tunnels too."""
        return [found for found in self.beyond_noise if found.variant.baseline]


def compare(before: RunSummary, after: RunSummary) -> Comparison:
    """Compare two runs."""
    old, new = before.groups, after.groups
    shared = [variant for variant in old if variant in new]
    differences = tuple(_judge(list(_test(old, new, shared, after.run.seed))))
    compared = {found.variant for found in differences}
    return Comparison(
        before=before,
        after=after,
        differences=differences,
        only_before=tuple(variant for variant in old if variant not in new),
        only_after=tuple(variant for variant in new if variant not in old),
        incomparable=tuple(variant for variant in shared if variant not in compared),
        environment=tuple(_environment_differences(before.run.environment, after.run.environment)),
    )


@dataclass(frozen=True)
class _Tested:
    variant: Variant
    quantity: Quantity
    before: tuple[float, ...]
    after: tuple[float, ...]
    test: RankTest
    ratio: Ratio | None


def _test(old: dict[Variant, Group], new: dict[Variant, Group], shared: list[Variant], seed: int) -> Iterator[_Tested]:
    for variant in shared:
        for quantity in QUANTITIES:
            before, after = old[variant].values(quantity), new[variant].values(quantity)
            if before and after:
                ratio = ratio_of_samples(after, before, seed=seed)
                yield _Tested(variant, quantity, tuple(before), tuple(after), rank_test(after, before), ratio)


def _judge(tested: list[_Tested]) -> Iterator[Difference]:
    for one, p in zip(tested, holm([one.test.p for one in tested]), strict=True):
        if p <= LEVEL:
            verdict = Verdict.MORE if one.test.delta > 0 else Verdict.LESS
        elif smallest_p(len(one.before), len(one.after)) * len(tested) > LEVEL:
            verdict = Verdict.TOO_FEW
        else:
            verdict = Verdict.NOISE
        before, after = summarize(one.before), summarize(one.after)
        yield Difference(one.variant, one.quantity, before, after, one.ratio, one.test, p, verdict)


def _environment_differences(before: Environment, after: Environment) -> Iterator[tuple[str, str, str]]:
    old, new = _flatten(before), _flatten(after)
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield name, old.get(name, "—"), new.get(name, "—")


def _flatten(environment: Environment) -> dict[str, str]:
    found: dict[str, str] = {}
    data: dict[str, Any] = environment.model_dump(exclude={"boot"})
    for name, value in data.items():
        if isinstance(value, dict):
            found |= {f"{name}: {key}": str(item) for key, item in value.items()}
        else:
            found[name] = str(value)
    return found
