"""`lab measure --cluster local:N`: the same records as on one machine, whatever becomes of workers and callers."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.core.expect import Expectation, wait_for
from lab.engine import open_engine
from lab.measure.record import RunDirectory

pytestmark = [pytest.mark.docker]

T = TypeVar("T")

PLAN = """
events: [announce]
baselines: [wire]
families: [ipv6]
trials: 6
warm-up: 0
"""
"""Six blocks of two short trials."""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "small.plan.yml"
    file.write_text(PLAN)
    return file


def expect_complete(out: Path) -> RunDirectory:
    """Check that each trial is there once, and each block on one machine."""
    directory = RunDirectory(out)
    trials = directory.trials()
    assert Counter((t.variant.over, t.number, t.attempt) for t in trials).most_common(1)[0][1] == 1
    assert {(t.variant.over, t.number) for t in trials} == {(o, n) for o in ("tunnel", "wire") for n in range(1, 7)}
    for number in range(1, 7):
        assert len({t.machine for t in trials if t.number == number}) == 1
    assert {t.machine for t in trials} <= set(directory.run().machines)
    return directory


def test_blocks_are_spread_over_workers_and_reported(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    runner = CliRunner()
    done = runner.invoke(app, ["measure", str(plan), "--cluster", "local:2", "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    directory = expect_complete(out)
    assert len({trial.machine for trial in directory.trials()}) == 2
    assert all(machine.versions["openvpn"] for machine in directory.run().machines.values())
    report = runner.invoke(app, ["report", str(out)])
    assert report.exit_code == 0, report.output
    assert "machines" in report.stdout
    again = runner.invoke(app, ["measure", str(plan), "--cluster", "local:2", "--out", str(out), "--resume"])
    assert again.exit_code == 0, again.output
    assert "0 events" in again.stderr


def test_block_of_a_killed_worker_runs_again(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with started(plan, out) as run:
        expect_trials(out, 1)
        killed = workers_of(run.pid)[0]
        os.kill(killed, signal.SIGKILL)
        _, errors = run.communicate(timeout=240)
    assert run.returncode == 0, errors
    assert "it is done again" in errors
    expect_complete(out)
    assert not labs_of(killed), "the next process of that worker has removed the labs of the killed one"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_workers_take_their_labs_down_when_the_caller_ends(number: signal.Signals, plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with started(plan, out) as run:
        expect_trials(out, 1)
        workers = workers_of(run.pid)
        assert [name for pid in workers for name in labs_of(pid)]
        os.killpg(run.pid, number)
        _, errors = run.communicate(timeout=120)
    if number is signal.SIGINT:
        assert run.returncode == 130, errors
        assert f"--cluster local:2 --out {out} --resume` continues" in errors
    expect("no lab left", lambda: [name for pid in workers for name in labs_of(pid)], lambda left: not left)
    before = RunDirectory(out).trials()
    again = CliRunner().invoke(
        app, ["measure", str(plan), "--cluster", "local:2", "--out", str(out), "--resume", "--json"]
    )
    assert again.exit_code == 0, again.output
    complete = expect_complete(out).trials()
    whole = Counter(trial.number for trial in before)
    measured = {(trial.variant.over, trial.number) for trial in complete if trial not in before}
    assert len(measured) == 12 - 2 * sum(count == 2 for count in whole.values())
    assert [trial for trial in before if whole[trial.number] == 2] == [
        trial for trial in complete if trial in before
    ], "what was complete is kept as it was"


@contextmanager
def started(plan: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the program as the leader of a process group."""
    argv = [sys.executable, "-m", "lab.cli", "measure", str(plan), "--cluster", "local:2", "--out", str(out)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, process_group=0) as run:
        try:
            yield run
        finally:
            run.kill()


def workers_of(pid: int) -> list[int]:
    """Return the processes of a caller's workers."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for file in children for child in file.read_text().split()]
    return [child for child in found if b"lab.cluster.child" in Path(f"/proc/{child}/cmdline").read_bytes()]


def labs_of(pid: int) -> list[str]:
    return sorted({i.lab for i in open_engine().find() if i.lab.startswith(f"measure-{pid}-")})


def expect_trials(out: Path, count: int) -> None:
    def written() -> int:
        file = out / "trials.jsonl"
        return file.read_text().count("\n") if file.exists() else 0

    expect(f"{count} trials on the disk", written, lambda n: n >= count)


def expect(what: str, look: Callable[[], T], met: Callable[[T], bool]) -> None:
    wait_for(Expectation(what=what, node="the run", look=look, met=met), within=300)
