"""The directory of a run, and its errors."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.measure.record import DataPlane, Environment, Run, RunDirectory, Stage, Trial, Variant

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


VERSION_1 = """{"variant": {"event": "EVENT", "detector": "bfd 3x100 ms", "family": "ipv4", "topology": "article",
  "over": "wire", "mode": "", "openvpn": ""}, "number": 1, "started": "2026-01-01T00:00:00Z", "status": "valid",
  "reason": "", "stages": [STAGES], "data_plane": {"rate": 1000.0, "achieved": 999.9, "sent": SENT,
  "received": RECEIVED, "lost": LOST, "duplicated": 0, "reordered": 0, "loss_derived": LOSS, "rate_derived": 0.5,
  "route_specific": {"10.9.0.0/24": LOSS}, "error": 0.0015}, "timeline": [], "flags": [], "foreign_load": 0.1}"""


def version_1(sent: int, received: int, loss: float, first_packet: float | None = None) -> DataPlane:
    """Return the packets of a trial as the first version recorded it."""
    stage = {"name": "first-packet", "node": "branch", "at": first_packet, "error": 0.001, "source": "probe"}
    text = VERSION_1.replace("STAGES", json.dumps(stage) if first_packet is not None else "")
    figures = {"EVENT": "blackhole", "SENT": sent, "RECEIVED": received, "LOST": sent - received, "LOSS": loss}
    for name, figure in figures.items():
        text = text.replace(name, str(figure))
    plane = Trial.model_validate_json(" ".join(text.splitlines())).data_plane
    assert plane is not None
    assert (plane.sent, plane.received) == (sent, received)
    return plane


def test_delivered_packets_of_version_1_are_no_convergence_time() -> None:
    """It called the time for which packets were delivered by the name of the time for which they were lost."""
    in_flight = version_1(601, 1, 0.001)
    assert in_flight == in_flight.model_copy(
        update={"until_stopped": None, "loss_derived": None, "rate_derived": None, "route_specific": {}}
    )
    withdrawn = version_1(600, 112, 0.112)
    assert (withdrawn.until_stopped, withdrawn.loss_derived, withdrawn.rate_derived) == (0.112, None, None)
    never_back = version_1(601, 1, 0.6)
    assert (never_back.until_stopped, never_back.loss_derived) == (None, None)


def test_lost_packets_of_version_1_keep_their_name_if_the_first_packet_agrees() -> None:
    at_once = version_1(600, 480, 0.120, first_packet=0.121)
    assert (at_once.loss_derived, at_once.loss_of_connectivity, at_once.rate_derived) == (0.120, None, 0.5)
    later = version_1(600, 480, 0.120, first_packet=0.5)
    assert (later.loss_derived, later.loss_of_connectivity, later.route_specific) == (None, 0.120, {})


def test_records_of_today_are_not_renamed() -> None:
    plane = DataPlane(
        rate=1000, achieved=1000, sent=9, received=9, lost=0, duplicated=0, reordered=0, loss_derived=0.009, error=0.001
    )
    made = trial(1).model_copy(update={"data_plane": plane})
    assert Trial.model_validate_json(made.model_dump_json()) == made
