"""`lab measure` and `lab report`: a plan is measured, resumed after an interruption, and reported."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.core.expect import Expectation, wait_for
from lab.engine import open_engine
from lab.measure.record import RunDirectory, Trial

pytestmark = [pytest.mark.docker]

PLAN = """
events: [announce, blackhole]
detectors: [bfd 3x100 ms]
baselines: [vxlan]
families: [ipv6]
trials: 1
warm-up: 0
"""
SHORT = """
events: [announce]
baselines: [vxlan]
families: [ipv6]
trials: 4
warm-up: 0
"""
"""Eight short trials, so that a run can be interrupted between them."""


def ours() -> list[str]:
    return sorted({i.lab for i in open_engine().find() if i.lab.startswith("measure-")})


def by_variant(trials: list[Trial]) -> dict[tuple[str, str], Trial]:
    return {(trial.variant.event, trial.variant.over): trial for trial in trials}


def test_plan_is_measured_resumed_and_reported(tmp_path: Path) -> None:
    plan, out = tmp_path / "small.plan.yml", tmp_path / "run"
    plan.write_text(PLAN + "prefixes: 5\n")
    runner = CliRunner()
    done = runner.invoke(app, ["measure", str(plan), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["events"] == 4
    assert not labs_of(os.getpid())
    directory = RunDirectory(out)
    found = by_variant(directory.trials())
    assert set(found) == {
        (event, over) for event in ("announce", "blackhole", "blackhole recovery") for over in ("tunnel", "vxlan")
    }
    assert {trial.status for trial in found.values()} <= {"valid", "invalid"}, [t.reason for t in found.values()]
    # On a busy host a trial may fail before its event; its record says why.
    begun = [over for over in ("tunnel", "vxlan") if found["blackhole", over].at("detection") is not None]
    assert begun, [trial.reason for trial in found.values()]
    for over in begun:
        # BFD noticed before the route was gone, and long before the hold time of 180 s.
        blackhole = found["blackhole", over]
        detection, gone = blackhole.at("detection"), blackhole.at("fib")
        assert detection is not None
        assert gone is not None
        assert detection <= gone < 180
        # Traffic dies with the event and nothing comes back until it is undone: no time of the data plane.
        dead, back = blackhole.data_plane, found["blackhole recovery", over].data_plane
        assert dead is not None
        assert dead.until_stopped is dead.until_back is dead.loss_derived is dead.loss_of_connectivity is None
        assert dead.lost > 0
        assert found["blackhole recovery", over].at("fib") is not None
        assert back is not None
        assert back.until_back is not None
        assert back.until_stopped is back.loss_of_connectivity is None
        announced = found["announce", over].data_plane
        assert announced is not None
        assert len(announced.route_specific) == 5
    assert directory.run().environment.versions["frr"]
    assert "<svg" in directory.run().topologies["article"]

    # With a truncated last line: complete trials stay, and only the missing one is measured again.
    lines = (out / "trials.jsonl").read_text().splitlines(keepends=True)
    (out / "trials.jsonl").write_text("".join(lines[:-1]) + lines[-1][:20])
    again = runner.invoke(app, ["measure", str(plan), "--out", str(out), "--resume"])
    assert again.exit_code == 0, again.output
    assert (out / "trials.jsonl").read_text().startswith("".join(lines[:-1]))
    *complete, cut = (json.loads(line) for line in lines)
    repeated = directory.trials()[len(complete) :]
    assert repeated
    wanted = (cut["variant"]["event"], cut["variant"]["over"], cut["number"])
    assert {(t.variant.event, t.variant.over, t.number) for t in repeated} == {wanted}
    assert set(by_variant(directory.trials())) == set(found)
    numbers = [(t.variant, t.number, t.attempt) for t in directory.trials()]
    assert len(numbers) == len(set(numbers))

    page = runner.invoke(app, ["report", str(out)])
    assert page.exit_code == 0, page.output
    assert "blackhole recovery" in (out / "report" / "report.html").read_text()


def test_resume_refuses_another_plan(tmp_path: Path) -> None:
    plan, out = tmp_path / "small.plan.yml", tmp_path / "run"
    plan.write_text(SHORT)
    missing = CliRunner().invoke(app, ["measure", str(plan), "--out", str(out), "--resume"])
    assert missing.exit_code == 2
    assert "not a directory of `lab measure`" in str(missing.exception) + missing.output
    with started(plan, out) as run:
        expect_trials(out, 1)
        run.send_signal(signal.SIGINT)
        run.wait(60)
    plan.write_text(SHORT.replace("trials: 4", "trials: 5"))
    other = CliRunner().invoke(app, ["measure", str(plan), "--out", str(out), "--resume"])
    assert other.exit_code == 2
    assert "has a run of another plan" in str(other.exception) + other.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_interrupted_run_is_resumed(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C goes to all processes of the terminal, the instrument's included; `kill -9` to the run alone."""
    plan, out = tmp_path / "small.plan.yml", tmp_path / "run"
    plan.write_text(SHORT)
    with started(plan, out) as run:
        expect_trials(out, 2)
        if number is signal.SIGINT:
            os.killpg(run.pid, number)
        else:
            run.kill()
        _, errors = run.communicate(timeout=300)
    if number is signal.SIGINT:
        assert run.returncode == 130, errors
        assert errors.rstrip().endswith("lab: interrupted")
        assert f"--out {out} --resume` continues" in errors
        assert not labs_of(run.pid)
    directory = RunDirectory(out)
    before = directory.trials()
    assert all(trial.status != "invalid" or "signal" not in trial.reason for trial in before)
    again = CliRunner().invoke(app, ["measure", str(plan), "--out", str(out), "--resume", "--json"])
    assert again.exit_code == 0, again.output
    assert not labs_of(run.pid)  # including the labs of the killed run
    found = directory.trials()
    assert found[: len(before)] == before
    assert Counter((t.variant, t.number, t.attempt) for t in found).most_common(1)[0][1] == 1
    assert len({(trial.variant, trial.number) for trial in found}) == 2 * 4


@contextmanager
def started(plan: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the program as the leader of a process group."""
    argv = [sys.executable, "-m", "lab.cli", "measure", str(plan), "--out", str(out)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, process_group=0) as run:
        try:
            yield run
        finally:
            run.kill()


def expect_trials(out: Path, count: int) -> None:
    def written() -> int:
        file = out / "trials.jsonl"
        return file.read_text().count("\n") if file.exists() else 0

    wait_for(
        Expectation(what=f"{count} trials on the disk", node="the run", look=written, met=lambda n: n >= count),
        within=300,
    )


def labs_of(pid: int) -> list[str]:
    return [name for name in ours() if name.startswith(f"measure-{pid}-")]


def test_shards_are_measured_and_put_together(tmp_path: Path) -> None:
    plan = tmp_path / "small.plan.yml"
    plan.write_text(SHORT.replace("trials: 4", "trials: 3"))
    runner = CliRunner()
    runs = [tmp_path / f"run-{number}" for number in (1, 2)]
    for number, out in enumerate(runs, 1):
        done = runner.invoke(app, ["measure", str(plan), "--shard", f"{number}/2", "--out", str(out), "--json"])
        assert done.exit_code == 0, done.output
    assert [{t.number for t in RunDirectory(out).trials()} for out in runs] == [{1, 3}, {2}]
    other = runner.invoke(app, ["measure", str(plan), "--shard", "2/2", "--out", str(runs[0]), "--resume"])
    assert other.exit_code == 2
    assert "has shard 1/2 of the plan" in str(other.exception) + other.output
    both = runner.invoke(app, ["report", *map(str, runs), "--json"])
    assert both.exit_code == 0, both.output
    found = json.loads(both.stdout)
    assert found["missing"] == []
    for row in found["rows"]:
        if row["quantity"] == "fib":  # a trial may be tried again
            assert row["n"] + row["timed_out"] <= 3 <= row["n"] + row["timed_out"] + row["invalid"]
    half = runner.invoke(app, ["report", str(runs[1]), "--json"])
    assert json.loads(half.stdout)["missing"] == ["1/2"]
