"""Several machines in one run: ratios within blocks, their spread, and a machine that stands out."""

from collections.abc import Mapping

import pytest

from lab.measure.record import Trial
from lab.measure.statistics import ratio_in_blocks, ratios_within
from lab.report.machines import machine_rows, standing_out
from lab.report.page import about_machines
from lab.report.summary import RunSummary, summary_of
from tests.helpers import runs

MACHINES = ("alpha", "beta", "gamma")


def spread(slower: Mapping[str, float] = {}, tunnels: Mapping[str, float] = {}) -> RunSummary:
    """Return a run whose blocks are dealt to three machines, some of them slower, or with slower tunnels."""
    trials = []
    for trial in runs.trials(60, families=("ipv4",), detectors=1):
        machine = MACHINES[trial.number % 3]
        factor = slower.get(machine, 1.0)
        if trial.variant.over == "tunnel":
            factor *= tunnels.get(machine, 1.0)
        trials.append(_times(trial, factor).model_copy(update={"machine": machine}))
    run = runs.run().model_copy(update={"machines": {name: runs.environment() for name in MACHINES}})
    return summary_of(run, trials)


def _times(trial: Trial, factor: float) -> Trial:
    stages = tuple(stage.model_copy(update={"at": stage.at * factor}) for stage in trial.stages)
    return trial.model_copy(update={"stages": stages})


def test_ratio_within_blocks_does_not_depend_on_the_speed_of_their_machines() -> None:
    blocks = [(2.0 * speed, 1.0 * speed) for speed in (1.0, 10.0, 3.0)]
    found = ratio_in_blocks(blocks, seed=1)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))


def test_block_without_both_values_has_no_ratio() -> None:
    assert ratios_within([(1.0, None), (None, 2.0), (3.0, 0.0), (3.0, 2.0)]) == [1.5]
    assert ratio_in_blocks([(1.0, None)], seed=1) is None


def test_ratio_of_a_run_on_several_machines_is_within_blocks() -> None:
    fast, slow = spread(), spread(slower={"beta": 50.0})
    for summary, other in zip(fast.events, slow.events, strict=True):
        for row, again in zip(summary.rows, other.rows, strict=True):
            if row.quantity.key == "fib" and row.ratios:
                assert row.ratios["wire"].value == pytest.approx(again.ratios["wire"].value)


def test_equal_machines_do_not_stand_out() -> None:
    summary = spread()
    rows = machine_rows(summary)
    assert {row.machine for row in rows} == set(MACHINES)
    assert not standing_out(rows)
    assert about_machines(summary) == ["None of 3 machines stands out."]


def test_machine_with_slower_tunnels_stands_out_by_its_ratios() -> None:
    summary = spread(tunnels={"beta": 4.0})
    found = standing_out(machine_rows(summary))
    assert "beta" in found
    assert found["beta"][0].over is not None
    assert found["beta"][0].median > 2 * found["beta"][0].of_others
    (line,) = [line for line in about_machines(summary) if line.startswith("beta stands out: ")]
    assert "on the other machines" in line


def test_slower_machine_stands_out_in_the_baseline_only() -> None:
    found = standing_out(machine_rows(spread(slower={"gamma": 4.0})))
    assert "gamma" in found
    assert {row.over for row in found["gamma"]} == {None}
    assert {row.group.variant.over for row in found["gamma"]} <= {"wire", "vxlan"}


def test_run_on_one_machine_has_no_machines_to_compare() -> None:
    summary = summary_of(runs.run(), runs.trials(8))
    assert machine_rows(summary) == []
    assert about_machines(summary) == []
