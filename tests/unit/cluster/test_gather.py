"""Jobs whose results are wanted together, and the sessions of `lab modes`, `lab scale` and `lab claims`."""

import base64
import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lab.claims.spread import Files
from lab.cluster.connect import connect
from lab.cluster.gather import _Gathered, gather
from lab.cluster.job import Job, Message, Work
from lab.compare import spread as modes_spread
from lab.compare.facts import Disagreement, Facts, Mtu
from lab.compare.spread import Rows
from lab.compare.survey import Effort, Measured, MeasuredHub, Step, steps_of
from lab.compare.throughput import Throughput
from lab.core.errors import InputError
from lab.measure.scale.run import Block, Plan, blocks
from lab.measure.scale.spread import Tables
from lab.tunnel import modes


class Machine:
    """A session whose facts and results are in its context."""

    def __init__(self, context: Message) -> None:
        self.context = context

    def facts(self) -> Message:
        return {"kernel": self.context["kernel"]}

    def do(self, order: Message, send: Any) -> None:
        send({"say": "half"})
        send({"twice": 2 * order["number"]})

    def close(self) -> None:
        pass


def test_results_are_in_the_order_of_the_jobs() -> None:
    said: list[str] = []
    received: list[Message] = []
    jobs = [Job(f"job {number}", {"number": number}) for number in range(5)]
    with connect("local:2", None) as client:
        work = Work("tests.unit.cluster.test_gather:Machine", {"kernel": "6.1"})
        found = gather(client, jobs, work, said.append, received.append)
    assert [found[job.name] for job in jobs] == [[{"twice": 2 * number}] for number in range(5)]
    assert sorted(message["twice"] for message in received) == [0, 2, 4, 6, 8]
    assert [line for line in said if line.endswith(": half")]


# --- the sessions ---------------------------------------------------------------------------------------------


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine: nothing is deployed."""
    for module in ("lab.compare.spread", "lab.measure.scale.spread", "lab.claims.spread"):
        monkeypatch.setattr(f"{module}.open_engine", lambda: None)
        monkeypatch.setattr(f"{module}.sweep", lambda _: None)
        monkeypatch.setattr(f"{module}.machine_facts", lambda _: {"kernel": "6.1"})


ROWS: list[Measured | MeasuredHub] = [
    Measured("tap", "2.7", "udp", missing="this kernel lacks tap"),
    Measured(
        "iroute",
        "2.7",
        "tcp",
        Facts(True, ("ipv4",), (), Mtu(1500, 0)),
        (Disagreement("mtu", "1500", "1400"),),
        {"to-server": Throughput.of((1.0, 2.0), (3.0, 4.0))},
        (0.5, 0.7),
    ),
    MeasuredHub("dco", "2.7", 8, failure="no answer"),
]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_row_of_the_modes_travels(row: Measured | MeasuredHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes_spread, "measure_step", lambda step, *_: row)
    sent: list[Message] = []
    session = Rows(json.loads(json.dumps({"effort": asdict(Effort(clients=(1, 8)))})))
    session.do(asdict(Step("iroute", "2.7", "tcp")), sent.append)
    session.close()
    (message,) = json.loads(json.dumps(sent))
    assert modes_spread._ROWS.validate_python(message["row"]) == row


def test_steps_of_the_modes_are_in_the_order_of_the_sheet() -> None:
    chosen = [modes()["iroute"], modes()["tap"]]
    steps = steps_of(
        chosen, openvpn=["2.6", "2.7"], transports=["udp"], alternatives=["gre"], effort=Effort(clients=(1, 8))
    )
    assert list(map(str, steps[:5])) == [
        *("iroute, OpenVPN 2.6, udp", "iroute, OpenVPN 2.7, udp", "tap, OpenVPN 2.6, udp", "tap, OpenVPN 2.7, udp"),
        "gre",
    ]
    assert [str(step) for step in steps if step.clients and step.mode == "tap"] == [
        f"tap, OpenVPN {version}, clients: {n}" for version in ("2.6", "2.7") for n in (1, 8)
    ]
    assert len(set(map(str, steps))) == len(steps)


@pytest.mark.usefixtures("engine")
def test_block_of_tables_has_both_media_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(sizes={"ipv4": (1, 100), "ipv6": (1,)}, trials=2)
    names = list(map(str, blocks(plan)))
    assert names == [
        *("1 ipv4 prefixes, trial 1", "1 ipv4 prefixes, trial 2"),
        *("100 ipv4 prefixes, trial 1", "100 ipv4 prefixes, trial 2"),
        *("1 ipv6 prefixes, trial 1", "1 ipv6 prefixes, trial 2"),
    ]
    deployed: list[str] = []
    of_run = import_module("lab.measure.scale.run")  # the package has a function of that name
    monkeypatch.setattr(of_run, "_one", lambda topology, *_: deployed.append(topology.name))
    session = Tables(json.loads(json.dumps({"plan": asdict(plan)})))
    for number in (1, 2):
        list(Block("ipv4", 1, number).trials(session._plan, session._engine, lambda _: None))
    assert [name.split("-")[1] for name in deployed] == ["wire", "tunnel", "tunnel", "wire"]


CLAIM = """
import pytest

@pytest.mark.claims("water is wet")
def test_wet(claim):
    claim.echo("splash")
    claim.holds()
"""


@pytest.mark.usefixtures("engine")
def test_file_of_claims_is_run_and_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_it.py").write_text(CLAIM)
    sent: list[Message] = []
    session = Files({"options": ["-q", "-m", "claims", "-p", "no:cacheprovider"]})
    session.do({"file": "test_it.py"}, sent.append)
    (message,) = json.loads(json.dumps(sent))
    assert message["code"] == 0, message["said"]
    (finding,) = json.loads(message["claims"])
    assert (finding["sentence"], finding["verdict"]) == ("water is wet", "holds")
    (evidence,) = finding["evidence"]
    assert base64.b64decode(message["evidence"][evidence["file"]]) == b"splash\n"


@pytest.mark.usefixtures("engine")
def test_worker_without_the_tests_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^test_it\.py does not exist on this worker: start it in a checkout"):
        Files({"options": []}).do({"file": "test_it.py"}, lambda _: None)


def test_machines_that_differ_are_refused_by_their_facts() -> None:
    gathered = _Gathered(1, lambda _: None, lambda _: None)
    assert gathered.admit("alpha", {"kernel": "6.1", "lab": "1"}) == ""
    assert gathered.admit("beta", {"kernel": "6.2", "lab": "1"}) == (
        "beta differs from alpha: kernel 6.2 instead of 6.1"
    )
    assert gathered.admit("gamma", {"kernel": "6.1", "lab": "1"}) == ""
