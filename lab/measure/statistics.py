"""What can be said of some dozens of trials on a machine that drifts: order statistics, ratios, rank tests. Pure.

Convergence times are skewed and have outliers that mean something, so nothing here rests on means or on a normal
distribution. Whatever draws at random takes a seed: the same trials give the same figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
CONFIDENCE = 0.95
EXACT_UP_TO = 2500
"""Pairs of values up to which the rank test counts all arrangements: 50 trials against 50."""

Round = tuple[float | None, float | None]
"""What one round of interleaved trials gave: a value and the baseline's, None where a trial does not count."""


# --- one sample --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """The order statistics of a sample."""

    n: int
    min: float
    median: float
    p95: float
    max: float


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which a fraction `q` of the sample lies, in Hyndman and Fan's definition 7.

    The sorted values stand at 0, 1/(n-1), … 1, and what lies between two is interpolated on a line: what R, NumPy and
    spreadsheets do where nothing else is asked for. Raises `ValueError` for an empty sample or a `q` beyond 0 to 1.
    """
    if not values:
        raise ValueError("an empty sample has no quantiles")
    if not 0 <= q <= 1:
        raise ValueError(f"{q} is no fraction")
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    # Rounding shall not carry the result out of its two neighbours.
    return min(max(low + (high - low) * (position - below), low), high)


def summarize(values: Sequence[float]) -> Summary:
    """A sample's order statistics; raises `ValueError` for an empty one."""
    return Summary(
        n=len(values),
        min=quantile(values, 0),
        median=quantile(values, 0.5),
        p95=quantile(values, 0.95),
        max=quantile(values, 1),
    )


def ecdf(values: Sequence[float]) -> list[tuple[float, float]]:
    """The empirical distribution: each different value with the fraction of the sample that is not above it."""
    ordered = sorted(values)
    steps: dict[float, float] = {}
    for count, value in enumerate(ordered, 1):
        steps[value] = count / len(ordered)
    return list(steps.items())


# --- ratios ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratio:
    """A ratio of two medians, and the interval that it lies in with `CONFIDENCE`."""

    value: float
    low: float
    high: float


def ratio_in_rounds(rounds: Sequence[Round], *, seed: int, resamples: int = RESAMPLES) -> Ratio | None:
    """The ratio of the medians of interleaved trials; None where one side has no value or a median of zero.

    The interval is a percentile bootstrap (Efron 1979) that draws whole rounds: what disturbed the machine during a
    round disturbed both sides of it.
    """
    table = np.array([[math.nan if value is None else value for value in pair] for pair in rounds], dtype=float)
    if not len(rounds) or np.isnan(table).all(axis=0).any():
        return None
    drawn = np.random.default_rng(seed).integers(len(rounds), size=(resamples, len(rounds)))
    return _ratio(table[:, 0], table[:, 1], _medians(table[:, 0][drawn]), _medians(table[:, 1][drawn]))


def ratio_apart(
    values: Sequence[float], others: Sequence[float], *, seed: int, resamples: int = RESAMPLES
) -> Ratio | None:
    """The ratio of two medians of trials that were not interleaved, as those of two runs: each side is drawn alone."""
    if not values or not others:
        return None
    random = np.random.default_rng(seed)
    above, below = np.array(values, dtype=float), np.array(others, dtype=float)
    tops = above[random.integers(len(above), size=(resamples, len(above)))]
    bottoms = below[random.integers(len(below), size=(resamples, len(below)))]
    return _ratio(above, below, _medians(tops), _medians(bottoms))


def _medians(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row, past what is missing; NaN where all of it is."""
    ordered = np.sort(drawn, axis=1)  # what is missing comes last
    there = np.count_nonzero(~np.isnan(ordered), axis=1)
    rows = np.arange(len(ordered))
    below, above = np.maximum(there - 1, 0) // 2, np.minimum(there // 2, ordered.shape[1] - 1)
    middle: NDArray[np.float64] = (ordered[rows, below] + ordered[rows, above]) / 2
    return middle


def _ratio(
    values: NDArray[np.float64], others: NDArray[np.float64], tops: NDArray[np.float64], bottoms: NDArray[np.float64]
) -> Ratio | None:
    below = float(np.nanmedian(others))
    if below == 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = tops / bottoms
    ratios = ratios[np.isfinite(ratios)]
    if not len(ratios):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return Ratio(value=float(np.nanmedian(values)) / below, low=float(low), high=float(high))


# --- two samples -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RankTest:
    """Mann and Whitney's test of whether values of one sample tend to be larger than those of another."""

    u: float
    """Pairs in which the first sample's value is the larger one; a tie is half a pair."""
    p: float
    """Two-sided: the chance to see a U this far from its mean where nothing differs."""
    exact: bool
    """Counted over all arrangements of these very values, and not taken from the normal distribution."""
    delta: float
    """Cliff's delta, -1 to 1: pairs with a larger value less pairs with a smaller one, as a share of all."""

    @property
    def superiority(self) -> float:
        """The common language effect size: the chance that a value of the first sample is the larger one."""
        return (self.delta + 1) / 2

    @property
    def magnitude(self) -> str:
        """Cliff's delta in the words of Romano et al. (2006)."""
        size = abs(self.delta)
        return next((word for limit, word in _MAGNITUDES if size < limit), "large")


_MAGNITUDES = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"))


def rank_test(values: Sequence[float], others: Sequence[float]) -> RankTest:
    """Compare two samples; raises `ValueError` where one is empty.

    Up to `EXACT_UP_TO` pairs the p-value is counted over all arrangements, ties included (Streitberg and Röhmel's
    shift algorithm, 1986); beyond, it is the normal approximation with corrections for ties and for continuity.
    """
    if not values or not others:
        raise ValueError("an empty sample can't be compared")
    n, m = len(values), len(others)
    ranks = _midranks([*values, *others])
    u = sum(ranks[:n]) - n * (n + 1) / 2
    exact = n * m <= EXACT_UP_TO
    p = _exact_p(ranks, n) if exact else _normal_p(ranks, n, u)
    return RankTest(u=u, p=min(p, 1.0), exact=exact, delta=2 * u / (n * m) - 1)


def least_p(n: int, m: int) -> float:
    """The smallest p-value of so many values that all differ: one sample lies above the other."""
    return min(2 / math.comb(n + m, n), 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979): what of a family of tests falls below a level is, with that level, wrong nowhere."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _midranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for index in order[start:end]:
            ranks[index] = (start + 1 + end) / 2
        start = end
    return ranks


def _exact_p(ranks: Sequence[float], n: int) -> float:
    """How many of all ways to choose `n` of the ranks give a sum as far from the mean as the first `n` do."""
    doubled = [round(2 * rank) for rank in ranks]  # midranks are halves
    total = sum(doubled)
    ways = np.zeros((n + 1, total + 1))  # by how many were chosen, and their sum
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : total + 1 - rank].copy()
    # The mean is n/N of the total; times N, everything is an integer.
    everything = len(ranks)
    far = abs(sum(doubled[:n]) * everything - n * total)
    distances = np.abs(np.arange(total + 1) * everything - n * total)
    return float(ways[n][distances >= far].sum() / ways[n].sum())


def _normal_p(ranks: Sequence[float], n: int, u: float) -> float:
    everything = len(ranks)
    m = everything - n
    ties = sum(count**3 - count for count in (ranks.count(rank) for rank in set(ranks)))
    variance = n * m / 12 * (everything + 1 - ties / (everything * (everything - 1)))
    if variance <= 0:
        return 1.0
    distance = max(abs(u - n * m / 2) - 0.5, 0.0)
    return math.erfc(distance / math.sqrt(2 * variance))
