"""Order statistics, ratios of medians and rank tests for some dozens of trials. Pure functions.

Convergence times are skewed and their outliers are meaningful, so no function here assumes a normal
distribution or uses means. Functions that draw at random take a seed: the same trials give the same figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.core.extras import require

require("measure", "numpy")
import numpy as np  # noqa: E402 - after the check
from numpy.typing import NDArray  # noqa: E402

RESAMPLES = 10_000
CONFIDENCE = 0.95
EXACT_UP_TO = 2500
"""Number of pairs of values up to which the rank test counts all arrangements: 50 trials against 50."""

Round = tuple[float | None, float | None]
"""One round of interleaved trials: a value and the baseline's, None for a trial that does not count."""


# --- one sample --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """Order statistics of a sample."""

    n: int
    min: float
    median: float
    p95: float
    max: float


def quantile(values: Sequence[float], q: float) -> float:
    """Return the value below which a fraction `q` of the sample lies (Hyndman and Fan's definition 7).

    Raises `ValueError` for an empty sample or a `q` outside 0 to 1.
    """
    if not values:
        raise ValueError("an empty sample has no quantiles")
    if not 0 <= q <= 1:
        raise ValueError(f"{q} is not a fraction between 0 and 1")
    return float(np.quantile(values, q))


def summarize(values: Sequence[float]) -> Summary:
    """Return a sample's order statistics; raises `ValueError` for an empty sample."""
    return Summary(
        n=len(values),
        min=quantile(values, 0),
        median=quantile(values, 0.5),
        p95=quantile(values, 0.95),
        max=quantile(values, 1),
    )


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return a confidence interval (`CONFIDENCE`) of the median, for any distribution; None below six values.

    Its ends are the k-th smallest and the k-th largest value, for the largest k at which fewer than k of n fair coins
    fall on one side with a probability of at most half of 5 % (David and Nagaraja, Order Statistics, section 7.1).
    """
    ordered, n = sorted(values), len(values)
    below, k = 1, 0
    while 2 * below <= (1 - CONFIDENCE) * 2**n:
        k += 1
        below += math.comb(n, k)
    return (ordered[k - 1], ordered[n - k]) if k else None


def ecdf(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the empirical distribution: each distinct value with the fraction of the sample at or below it."""
    distinct, counts = np.unique(np.array(values, dtype=float), return_counts=True)
    return list(zip(distinct.tolist(), (np.cumsum(counts) / max(len(values), 1)).tolist(), strict=True))


# --- ratios ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratio:
    """A ratio of two medians with its confidence interval (`CONFIDENCE`)."""

    value: float
    low: float
    high: float


def ratio_in_rounds(rounds: Sequence[Round], *, seed: int, resamples: int = RESAMPLES) -> Ratio | None:
    """Return the ratio of the medians of interleaved trials; None if a side has no value or the baseline's is zero.

    The interval is a percentile bootstrap (Efron 1979) that draws whole rounds: load on the host during a round
    disturbs both of its trials.
    """
    table = np.array([[math.nan if value is None else value for value in pair] for pair in rounds], dtype=float)
    if not len(rounds) or np.isnan(table).all(axis=0).any():
        return None
    drawn = np.random.default_rng(seed).integers(len(rounds), size=(resamples, len(rounds)))
    return _ratio(table[:, 0], table[:, 1], _medians(table[:, 0][drawn]), _medians(table[:, 1][drawn]))


def ratio_in_blocks(blocks: Sequence[Round], *, seed: int, resamples: int = RESAMPLES) -> Ratio | None:
    """Return the median of the ratios within blocks, of those that have both values; None if none has.

    The machine of a block multiplies both of its values, so that it leaves their ratio. The interval is a percentile
    bootstrap that draws whole blocks.
    """
    ratios = np.array(ratios_within(blocks), dtype=float)
    if not len(ratios):
        return None
    drawn = np.random.default_rng(seed).integers(len(ratios), size=(resamples, len(ratios)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(_medians(ratios[drawn]), [tail, 1 - tail])
    return Ratio(value=float(np.median(ratios)), low=float(low), high=float(high))


def ratios_within(blocks: Sequence[Round]) -> list[float]:
    """Return the ratio of each block that has both values."""
    return [value / other for value, other in blocks if value is not None and other]


def ratio_of_samples(
    values: Sequence[float], others: Sequence[float], *, seed: int, resamples: int = RESAMPLES
) -> Ratio | None:
    """Return the ratio of the medians of two independent samples, such as two runs; each is resampled separately."""
    if not values or not others:
        return None
    random = np.random.default_rng(seed)
    above, below = np.array(values, dtype=float), np.array(others, dtype=float)
    tops = above[random.integers(len(above), size=(resamples, len(above)))]
    bottoms = below[random.integers(len(below), size=(resamples, len(below)))]
    return _ratio(above, below, _medians(tops), _medians(bottoms))


def _medians(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each row without its NaNs; NaN for a row of NaNs only.

    `np.nanmedian` takes 15 times as long for 10,000 rows of 30, and warns of rows of NaNs.
    """
    ordered = np.sort(drawn, axis=1)  # NaNs come last
    present = np.count_nonzero(~np.isnan(ordered), axis=1)
    rows = np.arange(len(ordered))
    below, above = np.maximum(present - 1, 0) // 2, np.minimum(present // 2, ordered.shape[1] - 1)
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
    """Mann and Whitney's test: do the values of one sample tend to be larger than those of another?"""

    u: float
    """Number of pairs in which the first sample's value is the larger one; a tie counts half."""
    p: float
    """Two-sided p-value: the chance of a U this far from its mean if the samples do not differ."""
    exact: bool
    """True if `p` was counted over all arrangements of the values, False if it is the normal approximation."""
    delta: float
    """Cliff's delta, -1 to 1: pairs with a larger value minus pairs with a smaller one, as a share of all pairs."""

    @property
    def superiority(self) -> float:
        """Common language effect size: the chance that a value of the first sample is the larger one."""
        return (self.delta + 1) / 2

    @property
    def magnitude(self) -> str:
        """Cliff's delta in words, after Romano et al. (2006)."""
        size = abs(self.delta)
        return next((word for limit, word in _MAGNITUDES if size < limit), "large")


_MAGNITUDES = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"))


def rank_test(values: Sequence[float], others: Sequence[float]) -> RankTest:
    """Compare two samples; raises `ValueError` if one is empty.

    Up to `EXACT_UP_TO` pairs the p-value is counted over all arrangements, ties included (Streitberg and Röhmel's
    shift algorithm, 1986); above, it is the normal approximation with corrections for ties and for continuity.
    """
    if not values or not others:
        raise ValueError("an empty sample cannot be compared")
    n, m = len(values), len(others)
    ranks = _midranks([*values, *others])
    u = sum(ranks[:n]) - n * (n + 1) / 2
    exact = n * m <= EXACT_UP_TO
    p = _exact_p(ranks, n) if exact else _normal_p(ranks, n, u)
    return RankTest(u=u, p=min(p, 1.0), exact=exact, delta=2 * u / (n * m) - 1)


def smallest_p(n: int, m: int) -> float:
    """Return the smallest possible p-value of samples of these sizes: all values of one above all of the other."""
    return min(2 / math.comb(n + m, n), 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's method (1979), which controls the chance of any false positive in the family."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _midranks(values: Sequence[float]) -> list[float]:
    """Return ranks from 1; equal values share the mean of their ranks."""
    _, places, counts = np.unique(np.array(values, dtype=float), return_inverse=True, return_counts=True)
    ranks: list[float] = (np.cumsum(counts) - (counts - 1) / 2)[places].tolist()
    return ranks


def _exact_p(ranks: Sequence[float], n: int) -> float:
    """Return the share of all choices of `n` ranks whose sum is as far from the mean as that of the first `n`."""
    doubled = [round(2 * rank) for rank in ranks]  # midranks are halves
    total = sum(doubled)
    ways = np.zeros((n + 1, total + 1))  # indexed by number of ranks chosen and their sum
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : total + 1 - rank].copy()
    # The mean is n/N of the total; multiplied by N, all terms are integers.
    size = len(ranks)
    far = abs(sum(doubled[:n]) * size - n * total)
    distances = np.abs(np.arange(total + 1) * size - n * total)
    return float(ways[n][distances >= far].sum() / ways[n].sum())


def _normal_p(ranks: Sequence[float], n: int, u: float) -> float:
    size = len(ranks)
    m = size - n
    ties = sum(count**3 - count for count in (ranks.count(rank) for rank in set(ranks)))
    variance = n * m / 12 * (size + 1 - ties / (size * (size - 1)))
    if variance <= 0:
        return 1.0
    distance = max(abs(u - n * m / 2) - 0.5, 0.0)
    return math.erfc(distance / math.sqrt(2 * variance))
