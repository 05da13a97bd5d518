"""A run's course without a lab: failed trials, an interruption, and a fault kind that only this test knows."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.core.errors import EnvironmentBroken, InputError, LabError
from lab.core.event_times import EventTimes
from lab.fault import KINDS, FaultAction, FaultKind, FaultSite, PathEffect, RouterPath
from lab.measure.instrument.measurement import Measurement
from lab.measure.record import Environment, RunDirectory, Trial
from lab.measure.trials import deployed, runner
from lab.measure.trials.attempt import Attempt
from lab.measure.trials.detector import Detector
from lab.measure.trials.events import event_of
from lab.measure.trials.plan import Bed, Plan, Task, variants_of
from lab.measure.trials.recording import plan_settings
from lab.measure.trials.site import TrialSite
from lab.runtime.lab import Lab

ENVIRONMENT = Environment(kernel="6.1", cpu="x", cpus=2, memory=1, python="3.11", engine="none")


class Course:
    """A run whose trials end as scripted: None for a good one, an error to raise, or the reason of an invalid one.

    The trials after these are good.
    """

    def __init__(self, directory: Path, ends: Sequence[BaseException | str | None]) -> None:
        self.directory, self.ends = directory, iter(ends)
        self.trials_each = len(ends)
        self.deployed = 0

    def run(self, *, trials: int = 0, attempts: int = 1, resume: bool = False, **more: Any) -> list[Trial]:
        plan = {"name": "p", "events": ["announce"], "baselines": [], "families": ["ipv4"], "warm-up": 0, **more}
        parsed = Plan.parse({**plan, "trials": trials or self.trials_each, "attempts": attempts}, "p.yml")
        runner.run(parsed, self.directory, resume=resume, say=lambda _: None)
        return self.trials

    @property
    def trials(self) -> list[Trial]:
        return RunDirectory(self.directory).trials()

    def deploy(self, *_: object, **__: object) -> Any:
        self.deployed += 1
        return SimpleNamespace(destroy=lambda: None)

    def trial(self, site: object, task: Task, plan: Plan) -> Any:
        def run(load: object) -> list[Trial]:
            end = next(self.ends, None)
            if isinstance(end, BaseException):
                raise end
            return [
                Trial(
                    variant=variant,
                    number=task.number,
                    started=datetime(2026, 1, 1, tzinfo=UTC),
                    status="invalid" if end and (end in variant.event or " " not in end) else "valid",
                    reason=end or "",
                )
                for variant in variants_of(task, "iroute", "article")
            ]

        return SimpleNamespace(run=run)


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Course]:
    def scripted(*ends: BaseException | str | None) -> Course:
        course = Course(tmp_path, ends)
        monkeypatch.setattr(runner, "open_engine", lambda: None)
        monkeypatch.setattr(runner, "sweep", lambda _: None)
        monkeypatch.setattr(Lab, "deploy", course.deploy)
        monkeypatch.setattr(deployed, "TrialSite", lambda lab, *_: SimpleNamespace(lab=lab))
        monkeypatch.setattr(deployed, "environment", lambda *_: ENVIRONMENT)
        monkeypatch.setattr(deployed, "ForeignLoad", lambda _: lambda: 0.0)
        monkeypatch.setattr(deployed, "Attempt", course.trial)
        return course

    return scripted


def test_third_failed_trial_in_a_row_ends_the_run(course: Callable[..., Course]) -> None:
    run = course(LabError("one"), LabError("two"), LabError("three"), None)
    with pytest.raises(EnvironmentBroken, match=r"^3 trials in a row .*: three$"):
        run.run()
    assert [(trial.status, trial.reason) for trial in run.trials] == [
        ("invalid", "the trial failed: one"),
        ("invalid", "the trial failed: two"),
    ]
    assert run.deployed == 3


def test_two_failed_trials_in_a_row_do_not_end_the_run(course: Callable[..., Course]) -> None:
    run = course(None, LabError("one"), LabError("two"), None)
    assert [trial.status for trial in run.run()] == ["valid", "invalid", "invalid", "valid"]
    assert run.deployed == 3


def test_good_trial_resets_the_count_of_failed_ones(course: Callable[..., Course]) -> None:
    run = course(LabError("one"), LabError("two"), None, LabError("three"), LabError("four"))
    assert [trial.status for trial in run.run()] == ["invalid", "invalid", "valid", "invalid", "invalid"]


def numbers(trials: Sequence[Trial]) -> list[tuple[int, int, str]]:
    """Return number, attempt and status of each trial."""
    return [(trial.number, trial.attempt, trial.status) for trial in trials]


def test_invalid_trial_is_tried_again_until_it_is_valid(course: Callable[..., Course]) -> None:
    found = course("slow", "slow", None, "slow", None).run(trials=2, attempts=5)
    assert numbers(found) == [
        *((1, 1, "invalid"), (1, 2, "invalid"), (1, 3, "valid")),
        *((2, 1, "invalid"), (2, 2, "valid")),
    ]


def test_invalid_trial_is_given_up_after_its_attempts(course: Callable[..., Course]) -> None:
    found = course("slow", "slow", "slow").run(trials=2, attempts=2)
    assert numbers(found) == [(1, 1, "invalid"), (1, 2, "invalid"), (2, 1, "invalid"), (2, 2, "valid")]


def test_invalid_trial_is_tried_again_in_its_round(course: Callable[..., Course]) -> None:
    """Both families, two rounds: the first trial is repeated after the other one of its round."""
    found = course("slow").run(trials=2, attempts=3, families=["ipv4", "ipv6"])
    assert [trial.number for trial in found] == [1, 1, 1, 2, 2]
    assert found[0].variant != found[1].variant
    assert found[0].variant == found[2].variant


def test_failed_trial_is_tried_again(course: Callable[..., Course]) -> None:
    found = course(LabError("no route"), None).run(trials=1, attempts=2)
    assert numbers(found) == [(1, 1, "invalid"), (1, 2, "valid")]
    assert found[0].cause == "the trial failed"


def test_valid_event_is_not_replaced_when_its_recovery_is_tried_again(course: Callable[..., Course]) -> None:
    found = course(" recovery", None).run(trials=1, attempts=3, events=["blackhole"])
    assert [(t.variant.event, t.attempt, t.status) for t in found] == [
        ("blackhole", 1, "valid"),
        ("blackhole recovery", 1, "invalid"),
        ("blackhole recovery", 2, "valid"),
    ]


def test_resumed_run_counts_the_attempts_so_far(course: Callable[..., Course]) -> None:
    interrupted = course("slow", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(trials=1, attempts=3)
    assert numbers(interrupted.run(trials=1, attempts=3, resume=True)) == [(1, 1, "invalid"), (1, 2, "valid")]
    again = course("slow", "slow").run(trials=1, attempts=3, resume=True)
    assert numbers(again) == [(1, 1, "invalid"), (1, 2, "valid")], "nothing is missing"


def test_run_of_an_earlier_version_is_resumed_with_the_defaults_of_new_keys(course: Callable[..., Course]) -> None:
    run = course("slow", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run.run(trials=1, attempts=5)
    file = run.directory / "run.json"
    data = json.loads(file.read_text())
    assert data["plan"].pop("attempts") == 5
    file.write_text(json.dumps(data | {"schema_version": 1}))
    with pytest.raises(InputError, match="a run of another plan"):
        run.run(trials=1, attempts=4, resume=True)
    assert numbers(run.run(trials=1, attempts=5, resume=True)) == [(1, 1, "invalid"), (1, 2, "valid")]


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_interruption_below_a_failure_ends_the_run(course: Callable[..., Course], link: str) -> None:
    failure, between = LabError("no answer"), OSError("closed")
    failure.__cause__ = between
    setattr(between, link, KeyboardInterrupt())
    run = course(None, failure, None)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert [trial.number for trial in run.trials] == [1]


# --- a fault kind of another distribution ---------------------------------------------------------------------------

APPLIED: list[str] = []


class LineCut(FaultKind):
    """A fault kind that the lab does not have."""

    kind = "line-cut"
    summary = "the cable is cut"
    effect = PathEffect(silent=True)

    cable: str

    def __str__(self) -> str:
        return f"{self.cable} cut"

    @classmethod
    def on_path(cls, path: RouterPath, **choices: Any) -> "LineCut":
        return cls(cable=f"{path.near}--{path.far} {path.tunnel or path.peering}", **choices)

    def prepare(self, site: FaultSite) -> FaultAction:
        return FaultAction(lambda: APPLIED.append(f"cut {self.cable}"))

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        return FaultAction(lambda: APPLIED.append(f"mended {self.cable}"))


@pytest.fixture
def line_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast(Any, KINDS), "line-cut", LineCut)
    APPLIED.clear()


@pytest.mark.usefixtures("line_cut")
def test_plan_measures_a_fault_kind_by_its_name() -> None:
    plan = Plan.parse(
        {"name": "p", "events": ["line-cut"], "detectors": ["bfd 3x100 ms", "interface"], "families": ["ipv4"]}, "p.yml"
    )
    found = plan_settings(plan)
    tasks = {(task.bed.over, str(task.bed.detector)) for setting in found for task in setting.tasks}
    assert tasks == {(over, "bfd 3x100 ms") for over in ("tunnel", "wire", "vxlan")}
    with pytest.raises(InputError, match="did you mean 'line-cut'"):
        Plan.parse({"name": "p", "events": ["line-cutt"]}, "p.yml")


@pytest.mark.usefixtures("line_cut")
@pytest.mark.parametrize(("medium", "cable"), [("tunnel", "branch--hq branch-hq"), ("wire", "branch--hq hq:wire0")])
def test_trial_applies_and_undoes_a_fault_at_the_target_of_its_kind(tmp_path: Path, medium: Any, cable: str) -> None:
    outcomes = []

    def measure(*_: object, until: str, **__: object) -> Any:
        outcomes.append(until)
        found = cast(Any, nullcontext())
        found.status, found.reason, found.stages, found.data_plane = "valid", "", (), None
        found.timeline, found.flags = (), ()
        return cast(Measurement, found)

    tunnel = "branch-hq" if medium == "tunnel" else None
    router = SimpleNamespace(
        announce=lambda _: None,
        expect_route=lambda _: None,
        expect_no_route=lambda _: None,
        daemon=SimpleNamespace(originated=lambda *_: set()),
        running=None,
    )
    site = SimpleNamespace(
        lab=SimpleNamespace(
            measure=measure,
            directory=tmp_path,
            event_times=EventTimes(),
            wait_ready=lambda: None,
            topology=SimpleNamespace(file=Path("article.clab.yml")),
        ),
        mode="iroute",
        prefixes={"ipv4": []},
        addresses={"ipv4": []},
        roles=SimpleNamespace(two_paths=False),
        observer=router,
        origin=router,
        asking=None,
        answering=None,
        path=RouterPath(near="branch", far="hq", tunnel=tunnel, peering="hq:wire0", underlay="hq:eth1"),
    )
    plan = Plan.parse({"name": "p", "events": ["line-cut"]}, "p.yml")
    task = Task(Bed("article", Detector.parse("bfd 3x100 ms"), medium), event_of("line-cut"), "ipv4", 1)
    trials = Attempt(cast(TrialSite, site), task, plan).run(cast(Any, lambda: 0.0))
    assert [trial.variant.event for trial in trials] == ["line-cut", "line-cut recovery"]
    assert outcomes == ["vanishes", "appears"]
    assert [f"cut {cable}", f"mended {cable}"] == APPLIED
