"""Comparisons of two runs: differences, noise, and too few trials."""

import random

from lab.measure.record import Run, Trial
from lab.report.comparison import Comparison, Verdict, compare
from lab.report.page import findings, unshared
from lab.report.summary import summary_of
from lab.report.tables import difference_records
from tests.helpers import runs


def trials(count: int = 20, *, seed: int = 1, slower: float = 1.0) -> list[Trial]:
    """Return the summary of a small run."""
    return runs.trials(count, seed=seed, slower=slower, families=("ipv4",), detectors=1)


BEFORE = trials(seed=10)
"""A seed without a chance difference; at the 5 % level one seed in twenty has one."""


def compared(after: list[Trial], before: list[Trial] | None = None, run: Run | None = None) -> Comparison:
    return compare(summary_of(runs.run("before"), before or BEFORE), summary_of(run or runs.run("after"), after))


def test_slower_quantities_are_found_and_no_others() -> None:
    found = compared(trials(seed=2, slower=2.0))
    assert {d.variant.over for d in found.beyond_noise} == {"tunnel"}
    assert {d.verdict for d in found.beyond_noise} == {Verdict.MORE}
    named = {d.quantity.key for d in found.beyond_noise if d.variant.event == "announce"}
    assert named == {"update", "rib", "fib", "first-packet"}
    for difference in found.beyond_noise:
        assert difference.test.magnitude == "large"
        assert difference.ratio is not None
        assert difference.ratio.low > 1
    assert found.moved_baselines == []
    assert (
        findings(found)[0]
        == f"{len(found.beyond_noise)} of {len(found.differences)} quantities differ beyond the noise."
    )
    back = compare(found.after, found.before)
    assert {d.verdict for d in back.beyond_noise} == {Verdict.LESS}


def test_second_run_of_the_same_has_no_differences() -> None:
    for seed in range(2, 5):
        found = compared(trials(seed=seed))
        assert found.beyond_noise == []
        assert findings(found) == [f"None of {len(found.differences)} quantities differs beyond the noise."]


def test_p_values_are_corrected_for_all_comparisons() -> None:
    found = compared(trials(seed=2, slower=1.3))
    assert all(d.p >= d.test.p for d in found.differences)
    least = min(found.differences, key=lambda d: d.test.p)
    assert least.p == min(1, least.test.p * len(found.differences))


def test_three_trials_are_too_few() -> None:
    few = [t for t in trials(4, slower=50) if t.variant.event == "announce"]
    found = compared(few, before=[t for t in BEFORE if t.number in (1, 2, 4)])
    assert {d.verdict for d in found.differences} == {Verdict.TOO_FEW}
    assert found.beyond_noise == []


def test_variants_of_one_run_are_listed() -> None:
    after = [t for t in BEFORE if t.variant.event == "announce"]
    after = [t.model_copy(update={"status": "invalid"}) if t.variant.over == "wire" else t for t in after]
    after.append(runs.trial(BEFORE[0].variant.model_copy(update={"mode": "tap"}), 1, random.Random(1)))
    found = compared(after)
    assert {v.event for v in found.only_before} == {"blackhole"}
    assert [v.mode for v in found.only_after] == ["tap"]
    assert [v.over for v in found.incomparable] == ["wire"]
    assert {d.variant.over for d in found.differences} == {"tunnel", "vxlan"}
    named = unshared(found)
    assert named["Only in after (after)"] == ["announce, ipv4, article, tap 2.7"]
    assert (
        findings(found)[-1] == f"{sum(map(len, named.values()))} variants could not be compared; they are listed below."
    )


def test_runs_without_common_variants() -> None:
    after = [t for t in BEFORE if t.variant.event == "announce"]
    found = compared(after, before=[t for t in BEFORE if t.variant.event == "blackhole"])
    assert found.differences == ()
    assert findings(found)[0] == "The runs have no variant in common."


def test_slower_host_is_reported_by_its_baselines() -> None:
    def slow(one: Trial) -> Trial:
        return one.model_copy(update={"stages": tuple(s.model_copy(update={"at": s.at * 3}) for s in one.stages)})

    found = compared([slow(t) for t in BEFORE], run=runs.run("after", kernel="7.0"))
    assert {d.variant.over for d in found.moved_baselines} == {"wire", "vxlan"}
    assert found.environment == (("kernel", "6.18.5", "7.0"),)
    lines = findings(found)
    assert lines[1].startswith("Baselines differ too, so that part of the differences comes from the host: announce")
    assert lines[2] == "Host or software differ: kernel."


def test_records_have_numbers() -> None:
    (record, *_) = difference_records(compared(BEFORE))
    assert record["event"] == "announce"
    assert record["verdict"] == "within the noise"
    assert record["ratio"] == record["p"] == 1
    assert record["median_before"] == record["median_after"]
