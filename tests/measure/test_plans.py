"""`lab measure`: a plan becomes trials on the disk, goes on where it was broken off, and is reported on."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.engine import open_engine
from lab.measure.record import RunDirectory, Trial

pytestmark = [pytest.mark.docker, pytest.mark.convergence]

PLAN = """
events: [announce, blackhole]
detectors: [bfd 3x100 ms]
baselines: [vxlan]
families: [ipv6]
trials: 1
warm-up: 0
"""


def ours() -> list[str]:
    return sorted({i.lab for i in open_engine().find() if i.lab.startswith("measure-")})


def by_variant(trials: list[Trial]) -> dict[tuple[str, str], Trial]:
    return {(trial.variant.event, trial.variant.over): trial for trial in trials}


def test_a_plan_is_measured_goes_on_and_is_reported(tmp_path: Path) -> None:
    plan, out = tmp_path / "small.plan.yml", tmp_path / "run"
    plan.write_text(PLAN)
    runner, before = CliRunner(), ours()
    done = runner.invoke(app, ["measure", str(plan), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["events"] == 4
    assert ours() == before
    directory = RunDirectory(out)
    found = by_variant(directory.trials())
    assert set(found) == {
        (event, over) for event in ("announce", "blackhole", "blackhole recovery") for over in ("tunnel", "vxlan")
    }
    assert {trial.status for trial in found.values()} <= {"valid", "invalid"}, [t.reason for t in found.values()]
    for over in ("tunnel", "vxlan"):
        # Somebody noticed before the route went, and long before the hold time of 180 s.
        blackhole = found["blackhole", over]
        detection, gone = blackhole.at("detection"), blackhole.at("fib")
        assert detection is not None
        assert gone is not None
        assert detection <= gone < 180
        assert found["blackhole recovery", over].at("fib") is not None
    assert directory.run().environment.versions["frr"]
    assert "<svg" in directory.run().topologies["article"]

    # Broken off in the middle of a line: what is whole stays, and only what is missing is measured again.
    lines = (out / "trials.jsonl").read_text().splitlines(keepends=True)
    (out / "trials.jsonl").write_text("".join(lines[:-1]) + lines[-1][:20])
    again = runner.invoke(app, ["measure", str(plan), "--out", str(out), "--resume"])
    assert again.exit_code == 0, again.output
    assert (out / "trials.jsonl").read_text().splitlines(keepends=True)[:-1] == lines[:-1]
    assert set(by_variant(directory.trials())) == set(found)
    assert len(directory.trials()) == len(lines)

    page = runner.invoke(app, ["report", str(out)])
    assert page.exit_code == 0, page.output
    assert "blackhole recovery" in (out / "report" / "report.html").read_text()


def test_another_plan_does_not_go_on(tmp_path: Path) -> None:
    plan, out = tmp_path / "small.plan.yml", tmp_path / "run"
    plan.write_text(PLAN)
    missing = CliRunner().invoke(app, ["measure", str(plan), "--out", str(out), "--resume"])
    assert missing.exit_code == 2
    assert "no directory of `lab measure`" in str(missing.exception) + missing.output
