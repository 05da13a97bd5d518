"""The directory of a run, and its errors."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.measure.record import Environment, Run, RunDirectory, Stage, Trial, Variant

MACHINE = Environment(kernel="6.18", cpu="one", cpus=2, memory=1 << 30, python="3.11", engine="20.10")
THEN = datetime(2026, 1, 1, tzinfo=UTC)
VARIANT = Variant(event="announce", family="ipv4", topology="article", mode="iroute", openvpn="2.7")


def run() -> Run:
    return Run(name="one", started=THEN, plan={"trials": 2}, seed=1, environment=MACHINE)


def trial(number: int) -> Trial:
    fib = Stage(name="fib", node="branch", at=0.012, error=0.001, source="netlink")
    return Trial(variant=VARIANT, number=number, started=THEN, status="valid", stages=(fib,))


def test_run_survives_a_round_trip(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.create(run())
    for number in (1, 2):
        directory.append(trial(number))
    assert directory.run() == run()
    assert directory.trials() == [trial(1), trial(2)]
    assert directory.trials()[0].at("fib") == 0.012
    assert directory.trials()[0].at("rib") is None


def test_run_is_not_overwritten(tmp_path: Path) -> None:
    RunDirectory(tmp_path).create(run())
    with pytest.raises(InputError, match="--resume"):
        RunDirectory(tmp_path).create(run())


def test_truncated_last_line_is_not_a_trial(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.create(run())
    directory.append(trial(1))
    with (tmp_path / "trials.jsonl").open("a") as file:
        file.write('{"variant": {"event": "ann')
    assert directory.trials() == [trial(1)]


def test_unreadable_run_is_reported_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json: No such file"):
        RunDirectory(tmp_path).run()
    directory = RunDirectory(tmp_path)
    directory.create(run())
    (tmp_path / "trials.jsonl").write_text('{"number": 1}\n')
    with pytest.raises(InputError, match=r"trials\.jsonl, line 1: variant: Field required"):
        directory.trials()
