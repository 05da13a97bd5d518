"""A run on a cluster as its caller records it, without machines: blocks that begin again, and machines that differ."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from lab.core.errors import InputError
from lab.measure.record import Environment, RunDirectory, Trial
from lab.measure.trials.forecast import Progress
from lab.measure.trials.plan import Plan
from lab.measure.trials.recording import Recording
from lab.measure.trials.spread import _Spread
from tests.helpers import runs

PLAN = {"name": "p", "events": ["announce"], "baselines": ["wire"], "families": ["ipv4"], "trials": 3, "warm-up": 0}
HERE = runs.environment()


class Run:
    """A caller, and what machines would send to it."""

    def __init__(self, directory: Path, *, resume: bool = False, **more: Any) -> None:
        self.directory = RunDirectory(directory)
        self.recording = Recording(Plan.parse({**PLAN, **more}, "p.yml"), directory)
        if resume:
            self.recording.resume()
        self.seen: list[Progress] = []
        self.caller = _Spread(self.recording, self.recording.left(), 2, lambda _: None, self.seen.append)
        (self.setting,) = self.recording.settings

    def admit(self, machine: str, environment: Environment = HERE) -> str:
        return self.caller.admit(machine, environment.model_dump(mode="json"))

    def measure(self, number: int, machine: str, *, of: int = 2, fib: float = 0.01, status: str = "valid") -> None:
        """Send the first trials of a block."""
        job = self.caller.job(number)
        self.caller.begin(job, machine)
        block = next(block for block in self.setting.blocks if block.number == number)
        for task in block.tasks[:of]:
            self.caller.receive(job, machine, {"task": str(task)})
            (variant,) = self.recording.ledger.variants(task)
            trial = Trial(
                variant=variant,
                number=task.number,
                started=datetime(2026, 1, 1, tzinfo=UTC),
                status=cast(Any, status),
                stages=runs.trial(variant, number, random.Random(1)).stages[:1],
            )
            ended = {"trials": [trial.model_dump(mode="json")], "seconds": fib, "expected": 1.5, "counts": True}
            self.caller.receive(job, machine, json.loads(json.dumps(ended)))
        if of == len(block.tasks):
            self.caller.end(job, machine)

    @property
    def found(self) -> list[tuple[int, str]]:
        return sorted((trial.number, trial.machine) for trial in self.directory.trials())


def test_each_trial_is_recorded_as_it_comes_with_its_machine(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert [run.admit("alpha"), run.admit("beta")] == ["", ""]
    run.measure(1, "alpha")
    run.measure(2, "beta", of=1)
    assert run.found == [(1, "alpha"), (1, "alpha"), (2, "beta")]
    assert set(run.directory.run().machines) == {"alpha", "beta"}
    assert [progress.done for progress in run.seen] == [0, 1, 2]
    assert run.seen[-1].total == 6
    assert run.seen[-1].current.startswith("beta: announce, hold 3 s, ipv4, ")


def test_block_that_begins_again_elsewhere_counts_from_there_only(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.admit("alpha")
    run.admit("beta")
    run.measure(1, "alpha", of=1)
    run.measure(1, "beta")
    assert run.found == [(1, "beta"), (1, "beta")]
    assert len((tmp_path / "aside.jsonl").read_text().splitlines()) == 1
    run.measure(2, "beta", of=1)
    run.measure(2, "beta")
    assert run.found == [(1, "beta")] * 2 + [(2, "beta")] * 2
    assert {trial.attempt for trial in run.directory.trials()} == {1}


def test_interrupted_run_lacks_the_blocks_that_are_incomplete(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.admit("alpha")
    run.measure(1, "alpha")
    run.measure(2, "alpha", of=1)
    again = Run(tmp_path, resume=True)
    assert [block.number for setting in again.recording.left() for block in setting.blocks] == [2, 3]
    again.admit("beta")
    again.measure(2, "beta")
    again.measure(3, "beta")
    assert again.found == [(1, "alpha")] * 2 + [(2, "beta")] * 2 + [(3, "beta")] * 2
    assert not Run(tmp_path, resume=True).recording.left()


def test_machine_that_differs_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.admit("alpha") == ""
    assert run.admit("beta", runs.environment(kernel="6.1")) == ("beta differs from alpha: Linux 6.1 instead of 6.18.5")
    assert set(run.directory.run().machines) == {"alpha"}
    assert run.admit("gamma") == ""


def test_machine_whose_images_turn_out_to_differ_ends_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.admit("alpha")
    run.admit("beta")
    other = HERE.model_copy(update={"images": {"openvpn-routing-lab/node:2.7": "sha256:ffff"}})
    with pytest.raises(InputError, match=r"^beta differs from alpha: image .* `machines: apart` in the plan"):
        run.caller.receive(run.caller.job(1), "beta", {"environment": other.model_dump(mode="json")})


def test_plan_admits_machines_that_differ_to_set_them_apart(tmp_path: Path) -> None:
    run = Run(tmp_path, machines="apart")
    run.admit("alpha")
    assert run.admit("beta", runs.environment(kernel="6.1")) == ""
    assert {e.kernel for e in run.directory.run().machines.values()} == {"6.18.5", "6.1"}


def test_machine_of_an_interrupted_run_is_compared_too(tmp_path: Path) -> None:
    Run(tmp_path).admit("alpha")
    again = Run(tmp_path, resume=True)
    assert again.admit("beta", runs.environment(engine="crun")).startswith("beta differs from alpha: engine crun")


def test_half_a_block_of_another_machine_is_measured_again_as_a_whole(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.admit("alpha")
    run.measure(1, "alpha", of=1)
    ledger = Run(tmp_path, resume=True).recording.ledger
    assert ledger.machines(run.setting.blocks[0]) == {"alpha"}
    assert len(ledger.missing(run.setting.blocks[0], run.setting.plan)) == 1
    ledger.forget(run.setting.blocks[0])
    assert len(ledger.missing(run.setting.blocks[0], run.setting.plan)) == 2
