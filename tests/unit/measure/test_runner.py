"""A run's course without a lab: failed trials, an interruption, and a fault kind that only this test knows."""

from collections.abc import Callable, Mapping
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
from lab.measure.trials import runner
from lab.measure.trials.detector import Detector
from lab.measure.trials.events import event_of
from lab.measure.trials.plan import Bed, Plan, Task, variants_of
from lab.measure.trials.site import TrialSite
from lab.runtime.lab import Lab

ENVIRONMENT = Environment(kernel="6.1", cpu="x", cpus=2, memory=1, python="3.11", engine="none")


class Course:
    """A run whose trials end as scripted: None for a good one, an error to raise."""

    def __init__(self, directory: Path, ends: list[BaseException | None]) -> None:
        self.directory, self.ends = directory, ends
        self.deployed = 0

    def run(self) -> list[Trial]:
        plan = {"name": "p", "events": ["announce"], "baselines": [], "families": ["ipv4"], "trials": len(self.ends)}
        runner.run(Plan.parse({**plan, "warm-up": 0}, "p.yml"), self.directory, say=lambda _: None)
        return self.trials

    @property
    def trials(self) -> list[Trial]:
        return RunDirectory(self.directory).trials()

    def deploy(self, *_: object, **__: object) -> Any:
        self.deployed += 1
        return SimpleNamespace(destroy=lambda: None)

    def trial(self, site: object, task: Task, plan: Plan) -> Any:
        def run(load: object) -> list[Trial]:
            if (end := self.ends[task.number - 1]) is not None:
                raise end
            return [
                Trial(variant=variant, number=task.number, started=datetime(2026, 1, 1, tzinfo=UTC), status="valid")
                for variant in variants_of(task, "iroute", "article")
            ]

        return SimpleNamespace(run=run)


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Course]:
    def scripted(*ends: BaseException | None) -> Course:
        course = Course(tmp_path, list(ends))
        monkeypatch.setattr(runner, "open_engine", lambda: None)
        monkeypatch.setattr(runner, "sweep", lambda _: None)
        monkeypatch.setattr(Lab, "deploy", course.deploy)
        monkeypatch.setattr(runner, "TrialSite", lambda lab, *_: SimpleNamespace(lab=lab))
        monkeypatch.setattr(runner, "environment", lambda *_: ENVIRONMENT)
        monkeypatch.setattr(runner, "ForeignLoad", lambda _: lambda: 0.0)
        monkeypatch.setattr(runner, "_Trial", course.trial)
        return course

    return scripted


def test_third_failed_trial_in_a_row_ends_the_run(course: Callable[..., Course]) -> None:
    run = course(LabError("one"), LabError("two"), LabError("three"), None)
    with pytest.raises(EnvironmentBroken, match=r"^3 trials in a row .*: three$"):
        run.run()
    assert [(trial.status, trial.reason) for trial in run.trials] == [("invalid", "one"), ("invalid", "two")]
    assert run.deployed == 3


def test_two_failed_trials_in_a_row_do_not_end_the_run(course: Callable[..., Course]) -> None:
    run = course(None, LabError("one"), LabError("two"), None)
    assert [trial.status for trial in run.run()] == ["valid", "invalid", "invalid", "valid"]
    assert run.deployed == 3


def test_good_trial_resets_the_count_of_failed_ones(course: Callable[..., Course]) -> None:
    run = course(LabError("one"), LabError("two"), None, LabError("three"), LabError("four"))
    assert [trial.status for trial in run.run()] == ["invalid", "invalid", "valid", "invalid", "invalid"]


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
    blocks = runner.plan_blocks(plan)
    tasks = {(task.bed.over, str(task.bed.detector)) for block in blocks for task in block.tasks}
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
    trials = runner._Trial(cast(TrialSite, site), task, plan).run(cast(Any, lambda: 0.0))
    assert [trial.variant.event for trial in trials] == ["line-cut", "line-cut recovery"]
    assert outcomes == ["vanishes", "appears"]
    assert [f"cut {cable}", f"mended {cable}"] == APPLIED
