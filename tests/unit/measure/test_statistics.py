"""Every formula against cases computed by hand, and against properties of any sample."""

import math
import random
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.measure import statistics
from lab.measure.statistics import (
    RankTest,
    Ratio,
    Summary,
    ecdf,
    holm,
    median_interval,
    quantile,
    rank_test,
    ratio_in_rounds,
    ratio_of_samples,
    smallest_p,
    summarize,
)

values = st.lists(st.floats(min_value=1e-6, max_value=1e3), min_size=1, max_size=40)
few = st.lists(st.integers(min_value=0, max_value=6).map(float), min_size=1, max_size=6)
"""Small samples with many ties."""


def about(number: float) -> Any:
    """Return pytest's approximation of a float, typed so that it fits a field of type float."""
    return pytest.approx(number)


# --- one sample --------------------------------------------------------------------------------------------


def test_quantiles_by_hand() -> None:
    # Four values are at 0, 1/3, 2/3 and 1: 0.95 is 2.85 steps up, 0.85 of the way from 3 to 4.
    assert summarize([4, 1, 3, 2]) == Summary(n=4, min=1, median=2.5, p95=about(3.85), max=4)
    assert summarize([7]) == Summary(n=1, min=7, median=7, p95=7, max=7)
    assert quantile([10, 20, 40], 0.75) == 30


@pytest.mark.parametrize(("sample", "q"), [([], 0.5), ([1.0], -0.1), ([1.0], 1.1)])
def test_quantile_refuses_empty_samples_and_other_fractions(sample: list[float], q: float) -> None:
    with pytest.raises(ValueError, match=r"empty|fraction"):
        quantile(sample, q)


@given(values, st.floats(min_value=0, max_value=1))
def test_quantiles_are_definition_7(sample: list[float], q: float) -> None:
    ordered, position = sorted(sample), q * (len(sample) - 1)
    low, high = ordered[math.floor(position)], ordered[math.ceil(position)]
    assert quantile(sample, q) == pytest.approx(low + (high - low) * (position - math.floor(position)))
    assert min(sample) <= quantile(sample, q) <= max(sample)


def test_ecdf_by_hand() -> None:
    assert ecdf([2, 1, 4, 2]) == [(1, 0.25), (2, 0.75), (4, 1.0)]
    assert ecdf([]) == []


@given(values)
def test_ecdf_is_a_distribution(sample: list[float]) -> None:
    steps = ecdf(sample)
    assert [value for value, _ in steps] == sorted(set(sample))
    assert steps[-1] == (max(sample), 1.0)
    for value, share in steps:
        assert share == sum(other <= value for other in sample) / len(sample)


# --- ratios ------------------------------------------------------------------------------------------------


def test_ratio_by_hand() -> None:
    assert ratio_in_rounds([(2.0, 1.0)] * 5, seed=1) == Ratio(2, 2, 2)
    assert ratio_of_samples([3.0, 6.0, 9.0], [2.0], seed=1) == Ratio(3, 1.5, 4.5)
    # Of two values, resamples are (1,1), (1,2), (2,1), (2,2): medians 1, 1.5 and 2, the outer two in a quarter each.
    assert ratio_of_samples([1.0, 2.0], [1.0], seed=1) == Ratio(1.5, 1, 2)


@pytest.mark.parametrize("rounds", [[], [(1.0, None)], [(None, 1.0)], [(1.0, 0.0), (2.0, 0.0)]])
def test_ratio_needs_values_and_a_baseline_above_zero(rounds: list[statistics.Round]) -> None:
    assert ratio_in_rounds(rounds, seed=1) is None


def test_load_in_a_round_cancels_out_of_the_ratio() -> None:
    chance = random.Random(3)
    busy = [chance.lognormvariate(0, 1) for _ in range(30)]
    rounds = [(1.5 * load, load) for load in busy]
    interleaved = ratio_in_rounds(rounds, seed=1)
    assert interleaved == Ratio(about(1.5), about(1.5), about(1.5))
    apart = ratio_of_samples([a for a, _ in rounds], [b for _, b in rounds], seed=1)
    assert apart is not None
    assert apart.low < 1.2
    assert apart.high > 1.8


def test_invalid_trial_leaves_the_other_of_its_round() -> None:
    rounds: list[statistics.Round] = [(2.0, 1.0), (None, 1.0), (2.0, None), (2.0, 1.0)]
    assert ratio_in_rounds(rounds, seed=1) == Ratio(2, 2, 2)
    # The medians are those of all that counts: 3 of 1, 3, 5, and 2 of 1, 3.
    ratio = ratio_in_rounds([(1.0, 1.0), (3.0, None), (5.0, 3.0)], seed=1)
    assert ratio is not None
    assert ratio.value == 1.5


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1, max_size=20), st.floats(0.5, 2))
def test_ratio_does_not_depend_on_the_unit(rounds: list[statistics.Round], factor: float) -> None:
    ratio = ratio_in_rounds(rounds, seed=5, resamples=200)
    larger = ratio_in_rounds([(a * factor, b) for a, b in rounds if a and b], seed=5, resamples=200)
    assert ratio == ratio_in_rounds(rounds, seed=5, resamples=200)
    assert ratio is not None
    assert larger is not None
    assert (larger.value, larger.low, larger.high) == pytest.approx(
        (ratio.value * factor, ratio.low * factor, ratio.high * factor)
    )
    assert ratio.low <= ratio.high


def test_interval_covers_the_true_ratio() -> None:
    chance = random.Random(11)
    held = 0
    for number in range(200):
        rounds = [(1.4 * chance.lognormvariate(0, 0.3), chance.lognormvariate(0, 0.3)) for _ in range(30)]
        ratio = ratio_in_rounds(rounds, seed=number, resamples=1000)
        assert ratio is not None
        held += ratio.low <= 1.4 <= ratio.high
    assert 0.90 <= held / 200 <= 0.99


# --- two samples -------------------------------------------------------------------------------------------


def test_rank_test_by_hand() -> None:
    # All of one below all of the other: one way of C(5, 2) = 10, and one on the other side.
    assert rank_test([1, 2], [3, 4, 5]) == RankTest(u=0, p=about(0.2), exact=True, delta=-1)
    # Only 4 beats 3. Of 20 arrangements two have a U of at most 1, and two one of at least 8.
    assert rank_test([1, 2, 4], [3, 5, 6]) == RankTest(1, about(0.2), exact=True, delta=about(-7 / 9))
    # Midranks 1, 2.5, 2.5, 4. Of the six sums of two, 3.5 3.5 5 5 6.5 6.5, four are 1.5 from the mean of 5.
    assert rank_test([1, 2], [2, 3]) == RankTest(0.5, about(4 / 6), exact=True, delta=-0.75)
    assert rank_test([1], [1]) == RankTest(0.5, 1.0, exact=True, delta=0)


def test_rank_test_of_many_by_hand() -> None:
    # Zeros and ones, 30 and 30 against 15 and 45. U is 30·15 pairs, and half of the 30·15 + 30·45 ties: 1350, and its
    # mean 1800. Of 45 and 75 ties: sigma² = 60·60/12·(121 - ((45³-45) + (75³-75))/(120·119)) = 25525.2.
    found = rank_test([0.0] * 30 + [1.0] * 30, [0.0] * 15 + [1.0] * 45)
    assert (found.u, found.exact, found.delta) == (1350, False, -0.25)
    assert found.p == pytest.approx(math.erfc((450 - 0.5) / math.sqrt(25525.2) / math.sqrt(2)), rel=1e-5)
    assert found.p == pytest.approx(0.0049, rel=0.01)
    assert rank_test([1.0] * 60, [1.0] * 60).p == 1


@given(few, few)
def test_exact_p_equals_enumeration(one: list[float], other: list[float]) -> None:
    """Enumerate all ways to split the values, and count those whose U is as far from its mean."""
    both = [*one, *other]

    def u(chosen: list[float], rest: list[float]) -> float:
        return sum((a > b) + (a == b) / 2 for a in chosen for b in rest)

    mean = len(one) * len(other) / 2
    mine = abs(u(one, other) - mean)
    ways = [
        u([both[i] for i in chosen], [both[i] for i in range(len(both)) if i not in chosen])
        for chosen in combinations(range(len(both)), len(one))
    ]
    found = rank_test(one, other)
    assert found.u == u(one, other)
    assert found.p == pytest.approx(sum(abs(way - mean) >= mine for way in ways) / len(ways))


@given(values, values)
def test_rank_test_is_symmetric_and_independent_of_the_unit(one: list[float], other: list[float]) -> None:
    forth, back = rank_test(one, other), rank_test(other, one)
    assert forth.p == pytest.approx(back.p)
    assert forth.u + back.u == len(one) * len(other)
    assert forth.delta == pytest.approx(-back.delta)
    assert forth.superiority == pytest.approx(1 - back.superiority)
    assert 0 < forth.p <= 1
    assert rank_test([v * 1024 for v in one], [v * 1024 for v in other]) == forth


def test_smallest_p_by_hand() -> None:
    assert smallest_p(3, 3) == 2 / 20 == pytest.approx(rank_test([1, 2, 3], [4, 5, 6]).p)
    assert smallest_p(30, 30) < 1e-16
    assert smallest_p(1, 1) == 1


def test_exact_p_agrees_with_the_normal_approximation(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)
    one = [round(chance.gauss(0, 1), 1) for _ in range(40)]
    other = [round(chance.gauss(0.3, 1), 1) for _ in range(40)]
    exact = rank_test(one, other)
    monkeypatch.setattr(statistics, "EXACT_UP_TO", 0)
    assert (exact.exact, rank_test(one, other).exact) == (True, False)
    assert 0.001 < exact.p < 0.5
    assert rank_test(one, other).p == pytest.approx(exact.p, rel=0.1)


@pytest.mark.parametrize(
    ("delta", "word"), [(0.1, "negligible"), (-0.2, "small"), (0.4, "medium"), (0.474, "large"), (-1, "large")]
)
def test_magnitude_of_an_effect(delta: float, word: str) -> None:
    assert RankTest(u=0, p=1, exact=True, delta=delta).magnitude == word


def test_rank_test_refuses_empty_samples() -> None:
    with pytest.raises(ValueError, match="empty"):
        rank_test([], [1])


def test_holm_by_hand() -> None:
    # 0.01·3; 0.03·2; 0.04·1, which may not be less than the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(min_value=0, max_value=1), max_size=20))
def test_holm_is_between_the_raw_values_and_bonferroni(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, corrected in zip(p_values, adjusted, strict=True):
        assert p <= corrected <= min(1, p * len(p_values)) + 1e-12
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


# --- the interval of a median ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "ends"), [(0, None), (1, None), (5, None), (6, (1, 6)), (9, (2, 8)), (20, (6, 15)), (30, (10, 21))]
)
def test_interval_of_a_median_has_the_ranks_of_the_tables(n: int, ends: tuple[int, int] | None) -> None:
    """The ranks of Conover's and of David and Nagaraja's tables for 95 %."""
    assert median_interval([float(n - place) for place in range(n)]) == ends


@pytest.mark.parametrize("n", [6, 9, 13])
def test_interval_of_a_median_covers_it_as_often_as_it_says(n: int) -> None:
    """Each value is above or below the true median like a fair coin: all outcomes are counted."""
    covered = 0
    for outcome in range(2**n):
        sides = [1.0 if outcome >> place & 1 else -1.0 for place in range(n)]
        found = median_interval(sides)
        assert found is not None
        covered += found[0] < 0 < found[1] or found == (-1.0, 1.0)
    assert covered / 2**n >= statistics.CONFIDENCE
