"""Plans: their file format, mistakes in them, and the order of their trials."""

from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import InputError
from lab.measure.trials.detector import Detector
from lab.measure.trials.events import EVENTS
from lab.measure.trials.plan import Facts, Plan, Task, expected_seconds, settings, variants_of

TWO_PATHS = {"article": Facts(two_paths=False, tcp=True), "dual-homed": Facts(two_paths=True, tcp=False)}


def plan(**keys: Any) -> Plan:
    return Plan.parse({"name": "p", **keys}, "p.yml")


@pytest.mark.parametrize("name", ["default", "dual-homed", "quick"])
def test_plans_of_the_lab_are_valid(name: str) -> None:
    read = Plan.read(name)
    assert read.name == name
    assert sum(len(setting.tasks) for setting in settings(read, TWO_PATHS)) > 10


def test_default_plan_has_all_events() -> None:
    read = Plan.read("default")
    measured = {task.event.name for setting in settings(read, TWO_PATHS) for task in setting.tasks}
    assert measured == set(EVENTS)
    assert read.families == ("ipv4", "ipv6")
    assert read.trials == 30


WRONG = [
    ({"trails": 3}, "p.yml: trails: unknown key; did you mean 'trials'?"),
    ({"trials": 0}, "p.yml: trials: Input should be greater than or equal to 1"),
    ({"events": ["anounce"]}, "p.yml: events: unknown 'anounce': did you mean 'announce'?"),
    ({"modes": ["irout"]}, "unknown 'irout': did you mean 'iroute'?"),
    ({"openvpn": ["2.5"]}, "p.yml: openvpn: unknown '2.5': did you mean '2.7'?"),
    ({"detectors": ["hold 3"]}, "p.yml: detectors: 'hold 3' is not a detector: write `hold 3 s`"),
    ({"detectors": ["hold 2 s"]}, "a hold time is at least 3 s"),
    ({"detectors": ["bfd 1x5 ms"]}, "BFD needs a multiplier of 2 to 255"),
    ({"detectors": ["hold 3 s", " hold 3 s"]}, "detectors has an entry twice"),
    ({"families": []}, "p.yml: families:"),
    ({"rate": 999}, "p.yml: rate: Input should be greater than or equal to 1000"),
    ({"prefixes": 101}, "p.yml: prefixes: Input should be less than or equal to 100"),
    ({"also": [{"evnts": []}]}, "also.0: evnts: unknown key"),
    ({"also": [{"seed": 2}]}, "also.0: seed is allowed for the whole plan only"),
]


@pytest.mark.parametrize(("keys", "what"), WRONG)
def test_mistake_is_reported_with_its_key(keys: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError) as caught:
        plan(**keys)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


def test_number_of_trials_is_replaced_in_all_parts() -> None:
    several = plan(trials=30, also=[{"trials": 9, "events": ["withdraw"]}, {"events": ["announce"]}])
    assert [part.trials for part in several.parts] == [30, 9, 30]
    assert [part.trials for part in several.with_trials(2).parts] == [2, 2, 2]
    assert [part.events for part in several.with_trials(2).parts][1:] == [("withdraw",), ("announce",)]


def test_unreadable_plan_is_reported(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="no plan 'defualt': give a file, or one of default, dual-homed, quick by name"
    ):
        Plan.read("defualt")
    (tmp_path / "list.yml").write_text("- a")
    with pytest.raises(InputError, match="a plan is a mapping"):
        Plan.read(tmp_path / "list.yml")
    (tmp_path / "bad.yml").write_text("a: [")
    with pytest.raises(InputError, match=r"bad\.yml, line 1: not valid YAML"):
        Plan.read(tmp_path / "bad.yml")


@pytest.mark.parametrize("text", ["hold 3 s", "bfd 3x100 ms", "ping-restart 45 s", "interface"])
def test_detector_survives_a_round_trip(text: str) -> None:
    assert str(Detector.parse(text)) == text


def test_router_has_no_other_fast_detector() -> None:
    from lab.topology import RouterIntent

    router = RouterIntent(asn=65001)
    for text in ("bfd 3x100 ms", "ping-restart 45 s", "interface"):
        assert Detector.parse(text).router(router).timers.hold == 180
    assert Detector.parse("hold 9 s").router(router).timers.hold == 9
    bfd = Detector.parse("bfd 3x100 ms").router(router).bfd
    assert bfd is not None
    assert (bfd.multiplier, bfd.interval) == (3, 100)
    assert Detector.parse("hold 3 s").router(router).bfd is None
    assert Detector.parse("hold 3 s").options["keepalive"][1] > 100
    assert Detector.parse("ping-restart 6 s").options == {"keepalive": [2, 6], "persist-tun": False}


def names(tasks: tuple[Task, ...]) -> set[tuple[str, str]]:
    return {(task.event.name, task.bed.over) for task in tasks}


def test_events_without_detection_are_measured_with_the_first_detector() -> None:
    first, second = settings(plan(detectors=["hold 3 s", "bfd 3x100 ms"], topologies=["article"]), TWO_PATHS)
    assert ("announce", "tunnel") in names(first.tasks)
    assert ("announce", "tunnel") not in names(second.tasks)
    assert ("blackhole", "wire") in names(second.tasks)


def test_faults_of_openvpn_need_a_tunnel() -> None:
    (setting,) = settings(plan(), TWO_PATHS)
    over = {event: {o for e, o in names(setting.tasks) if e == event} for event in ("sigusr1", "blackhole")}
    assert over == {"sigusr1": {"tunnel"}, "blackhole": {"tunnel", "wire", "vxlan"}}
    (setting,) = settings(plan(detectors=["ping-restart 6 s"]), TWO_PATHS)
    assert {o for _, o in names(setting.tasks)} == {"tunnel"}


def test_events_are_measured_with_the_detector_that_detects_them() -> None:
    """eBGP ends with the carrier, and over TCP the kernel of a killed OpenVPN closes the connection."""
    detectors = ["hold 3 s", "ping-restart 6 s", "interface"]
    by_detector = {
        str(setting.beds[0].detector): names(setting.tasks)
        for setting in settings(plan(detectors=detectors, events=["link-down", "server-killed"]), TWO_PATHS)
    }
    assert ("link-down", "wire") not in by_detector["hold 3 s"]
    assert by_detector["interface"] == {("link-down", "wire")}
    assert by_detector["ping-restart 6 s"] == {("link-down", "tunnel")}
    udp = settings(plan(detectors=detectors[1:2], events=["server-killed"], topologies=["dual-homed"]), TWO_PATHS)
    assert names(udp[0].tasks) == {("server-killed", "tunnel")}
    assert not settings(plan(events=["server-killed"], topologies=["dual-homed"]), TWO_PATHS), "it would not come back"
    (setting,) = settings(plan(events=["client-killed"], baselines=[], trials=1, warm_up=0), TWO_PATHS)
    assert variants_of(setting.tasks[0], "iroute", "article")[0].detector == "interface"


def test_also_is_the_plan_with_some_keys_replaced() -> None:
    whole = plan(events=["announce"], trials=2, also=[{"topologies": ["dual-homed"], "events": ["worsen"]}])
    own, besides = settings(whole, TWO_PATHS)
    assert {(t.event.name, t.bed.topology) for t in own.tasks} == {("announce", "article")}
    assert {(t.event.name, t.bed.topology) for t in besides.tasks} == {("worsen", "dual-homed")}
    assert besides.plan.trials == 2
    assert Plan.parse(whole.model_dump(mode="json", by_alias=True), "again") == whole


def test_some_events_need_an_alternative_path() -> None:
    one, two = settings(plan(topologies=["article", "dual-homed"]), TWO_PATHS)
    assert "worsen" not in {task.event.name for task in one.tasks}
    assert "worsen" in {task.event.name for task in two.tasks}


def test_trials_of_variants_are_complete_and_interleaved() -> None:
    (setting,) = settings(plan(events=["announce", "blackhole"], trials=3, warm_up=1), TWO_PATHS)
    counted: dict[tuple[object, ...], list[int]] = {}
    for task in setting.tasks:
        counted.setdefault((task.bed, task.event, task.family), []).append(task.number)
    assert {tuple(numbers) for numbers in counted.values()} == {(0, 1, 2, 3)}
    assert len(counted) == 3 * 2 * 2
    assert [task.number for task in setting.tasks] == sorted(task.number for task in setting.tasks)


def test_seed_decides_the_order() -> None:
    (one,), (again,), (other,) = (settings(plan(seed=seed), TWO_PATHS) for seed in (1, 1, 2))
    assert one == again
    assert one.tasks != other.tasks
    assert sorted(map(str, one.tasks)) == sorted(map(str, other.tasks))


def test_expected_seconds_grow_with_the_detector() -> None:
    slow, fast = (
        expected_seconds(
            settings(plan(events=["node-paused"], detectors=[text], warm_up=0, trials=10), TWO_PATHS)[0].tasks
        )
        for text in ("hold 9 s", "hold 3 s")
    )
    assert slow - fast == pytest.approx(3 * 2 * 10 * 6)


def test_fault_has_a_variant_for_its_recovery() -> None:
    (setting,) = settings(plan(events=["blackhole"], baselines=[], families=["ipv6"], trials=1, warm_up=0), TWO_PATHS)
    (task,) = setting.tasks
    fault, recovery = variants_of(task, "iroute", "article")
    assert (fault.event, recovery.event) == ("blackhole", "blackhole recovery")
    assert {(v.family, v.detector, v.mode) for v in (fault, recovery)} == {("ipv6", "hold 3 s", "iroute")}


def test_alternative_path_takes_over_unless_the_router_breaks() -> None:
    for name, with_one, with_two in (
        ("blackhole", "vanishes", "moves"),
        ("node-paused", "vanishes", "vanishes"),
        ("withdraw", "vanishes", "vanishes"),
        ("sigusr1", "returns", "returns"),
    ):
        assert EVENTS[name].expected_outcome(two_paths=False) == with_one
        assert EVENTS[name].expected_outcome(two_paths=True) == with_two
    assert EVENTS["blackhole"].expected_outcome_of_recovery(two_paths=False) == "appears"
