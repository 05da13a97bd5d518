"""Shards: the blocks of a plan spread over machines that do not know of each other, and put together again."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import InputError
from lab.measure.machines import differences
from lab.measure.merge import Part, are_shards, merge
from lab.measure.record import Environment
from lab.measure.shard import WHOLE, Shard
from lab.measure.trials.forecast import seconds_of, seconds_of_block, seconds_to_prepare
from lab.measure.trials.plan import Facts, Plan, settings
from lab.measure.trials.recording import plan_settings
from lab.report.summary import summary_of
from tests.helpers import runs

FACTS = {"article": Facts(two_paths=False, tcp=True)}
PLAN = Plan.parse({"name": "p", "detectors": ["hold 3 s", "bfd 3x100 ms"], "trials": 7}, "p.yml")


def part(shard: str, *, seed: int = 7, plan: dict[str, Any] | None = None, boot: str = "one", **changed: str) -> Part:
    """Return a shard's run of two trials on a machine of the name `ci`."""
    environment = runs.environment(**changed).model_copy(update={"boot": boot})
    number = Shard.parse(shard).number
    made = [trial.model_copy(update={"machine": "ci"}) for trial in runs.trials(30) if trial.number == number]
    run = runs.run().model_copy(
        update={
            "seed": seed,
            "shard": shard,
            "plan": plan or runs.run().plan,
            "environment": environment,
            "machines": {"ci": environment},
        }
    )
    return Part(Path(f"shard-{number}"), run, made)


def test_shard_is_read_and_written() -> None:
    assert str(Shard.parse("3/10")) == "3/10"
    for text in ("0/3", "4/3", "3", "a/b", "1/2/3", "-1/3"):
        with pytest.raises(InputError, match=r"^--shard: '.*' does not name a part: write for example 3/10$"):
            Shard.parse(text)


def test_shards_have_each_block_once_in_the_order_of_the_plan() -> None:
    whole = [block for setting in settings(PLAN, FACTS) for block in setting.blocks]
    assert [block.number for block in whole] == list(range(1, 15))
    found = []
    for number in (1, 2, 3):
        mine = [block for setting in settings(PLAN, FACTS, Shard(number, 3)) for block in setting.blocks]
        assert {block.number % 3 for block in mine} == {number % 3}
        assert [block.number for block in mine] == sorted(block.number for block in mine)
        found += mine
    assert sorted(found, key=lambda block: block.number) == whole


def test_block_has_each_variant_once() -> None:
    for setting in settings(PLAN, FACTS):
        for block in setting.blocks:
            assert set(Counter((task.bed, task.event, task.family) for task in block.tasks).values()) == {1}
            assert len({task.number for task in block.tasks}) == 1
        assert len({frozenset((t.bed, t.event, t.family) for t in block.tasks) for block in setting.blocks}) == 1


def test_shard_without_a_block_is_refused() -> None:
    few = Plan.parse({"name": "p", "events": ["announce"], "trials": 2}, "p.yml")
    with pytest.raises(InputError, match=r"^p has 2 blocks: shard 3/3 has none of them; choose fewer shards$"):
        plan_settings(few, Shard(3, 3))


def test_forecast_divides_blocks_by_machines_and_repeats_what_each_prepares() -> None:
    one, two = settings(PLAN, FACTS)
    alone = sum(map(seconds_to_prepare, (one, two))) + sum(map(seconds_of_block, (*one.blocks, *two.blocks)))
    assert seconds_of([one, two]) == pytest.approx(alone)
    assert seconds_of([one], 7) == pytest.approx(seconds_to_prepare(one) + seconds_of_block(one.blocks[0]))
    assert seconds_of([one], 100) == seconds_of([one], 7)
    assert alone / 3 < seconds_of([one, two], 3) < alone


def test_shards_put_together_have_all_trials_and_tell_which_are_missing() -> None:
    parts = [part("1/4"), part("3/4"), part("2/4")]
    assert are_shards(parts)
    merged = merge(parts)
    assert {trial.number for trial in merged.trials} == {1, 2, 3}
    assert len({(trial.variant, trial.number) for trial in merged.trials}) == len(merged.trials)
    assert list(map(str, merged.missing)) == ["4/4"]
    assert summary_of(merged.run, merged.trials, merged.missing).missing == (Shard(4, 4),)
    assert not merge([part("1/2"), part("2/2")]).missing


def test_whole_runs_are_no_shards() -> None:
    assert not are_shards([part("1/2"), part("1/1")])
    assert Shard.parse(part("1/1").run.shard) == WHOLE


REFUSED = [
    (part("1/4"), r"^shard-1 and shard-1 are both shard 1/4: give one of them$"),
    (part("2/4", seed=8), r"^shard-2 has another seed than shard-1: give the shards of one plan$"),
    (part("2/4", plan={"trials": 3}), r"^shard-2 has another plan than shard-1"),
    (part("2/3"), r"^shard-2 has another number of shards than shard-1"),
    (
        part("2/4", kernel="6.1"),
        r"^ci \(shard 2/4\) differs from ci: Linux 6\.1 instead of 6\.18\.5: their trials",
    ),
    (part("2/4", lab="0.2"), r"^ci \(shard 2/4\) differs from ci: lab 0\.2 instead of none"),
    (part("2/4", clock_source="hpet"), r"clock hpet instead of none"),
    (part("2/4", governor="powersave"), r"governor powersave instead of none"),
]


@pytest.mark.parametrize(("other", "why"), REFUSED, ids=[why[:40] for _, why in REFUSED])
def test_run_that_is_not_another_shard_of_the_plan_is_refused(other: Part, why: str) -> None:
    if "boot" not in why and other.shard.number != 1:
        environment = other.run.environment.model_copy(update={"boot": "two"})
        run = other.run.model_copy(update={"machines": {"ci": environment}})
        other = Part(other.path, run, other.trials)
    with pytest.raises(InputError, match=why) as caught:
        merge([part("1/4"), other])
    assert "\n" not in str(caught.value)


def test_other_image_is_refused_by_its_digest() -> None:
    other = part("2/2")
    changed = other.run.environment.model_copy(
        update={"images": {"openvpn-routing-lab/node:2.7": "sha256:ffffffffffff"}}
    )
    run = other.run.model_copy(update={"machines": {"elsewhere": changed}})
    with pytest.raises(
        InputError, match=r"image openvpn-routing-lab/node:2\.7 sha256:ffffffffffff instead of sha256:0123"
    ):
        merge([part("1/2"), Part(other.path, run, other.trials)])


@pytest.mark.parametrize(("known", "other"), [("", "abc"), ("abc", "abc")], ids=["unknown", "same"])
def test_same_or_unknown_package_is_no_difference(known: str, other: str) -> None:
    assert differences(runs.environment(package=known), runs.environment(package=other)) == {}


def test_two_packages_of_one_version_are_a_difference() -> None:
    found = differences(runs.environment(package="abc"), runs.environment(package="def"))
    assert found == {"package": ("abc", "def")}


def test_image_that_one_machine_did_not_need_is_no_difference() -> None:
    other = part("2/2")
    changed = other.run.environment.model_copy(update={"images": {}, "versions": {}})
    run = other.run.model_copy(update={"machines": {"elsewhere": changed}})
    assert len(merge([part("1/2"), Part(other.path, run, other.trials)]).run.machines) == 2


def test_plan_sets_machines_apart() -> None:
    plan = {**runs.run().plan, "machines": "apart"}
    merged = merge([part("1/2", plan=plan), part("2/2", plan=plan, boot="two", kernel="6.1")])
    summary = summary_of(merged.run, merged.trials)
    assert {variant.on for variant in summary.groups} == {"Linux 6.18.5", "Linux 6.1"}
    for variant, group in summary.groups.items():
        assert {trial.number for trial in group.trials} == {1 if variant.on == "Linux 6.18.5" else 2}
    assert any(row.ratios for event in summary.events for row in event.rows), (
        "compared with the same machines' baseline"
    )


def test_equal_machines_are_not_set_apart() -> None:
    plan = {**runs.run().plan, "machines": "apart"}
    merged = merge([part("1/2", plan=plan), part("2/2", plan=plan, boot="two")])
    assert {variant.on for variant in summary_of(merged.run, merged.trials).groups} == {""}
    assert set(merged.run.machines) == {"ci", "ci (shard 2/2)"}


def test_shards_of_one_machine_have_one_machine() -> None:
    merged = merge([part("1/2"), part("2/2")])
    assert set(merged.run.machines) == {"ci"}
    assert isinstance(merged.run.machines["ci"], Environment)
