"""A thousand prefixes of each family announced over a tunnel and withdrawn: all of them, and no other."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.core.process import this_process
from lab.measure.scale import Plan, ScaleTrial, generate, measure, read
from lab.measure.scale.run import topology
from lab.observe.route_count import count_routes
from lab.runtime.lab import Lab
from lab.topology import Family

pytestmark = pytest.mark.docker

COUNT = 1000
BGP = 186
"""`rtm_protocol` of the routes that zebra gets from bgpd."""


@pytest.fixture(scope="module")
def tunnel() -> Iterator[Lab]:
    name = f"scale-test-{os.getpid()}"
    lab = Lab.deploy(topology("tunnel", Plan(openvpn="2.7")).model_copy(update={"name": name}), owner=this_process())
    try:
        yield lab
    finally:
        lab.destroy()


def check(trial: ScaleTrial) -> None:
    """Check the properties of a trial that hold on any host."""
    assert (trial.status, trial.reason) == ("valid", "")
    there, back = trial.announced, trial.withdrawn
    assert there is not None
    assert back is not None
    assert (there.routes, there.in_fib) == (trial.prefixes, trial.prefixes)
    assert (back.routes, back.in_fib) == (trial.prefixes, 0)
    for passage in (there, back):
        assert passage.first is not None
        assert passage.last is not None
        assert 0 < passage.first <= passage.last
        assert not passage.events_lost
    for sending in (trial.sent, trial.sent_back):
        assert sending is not None
        assert sending.prefixes == trial.prefixes
        assert 0 < sending.first <= sending.last
    assert trial.sent is not None
    assert trial.sent.updates >= trial.paths, "prefixes of different paths cannot share an UPDATE"
    programs = {"bird", "bgpd", "zebra", *(["openvpn"] if trial.over == "tunnel" else [])}
    assert {cost.program for cost in there.costs} == programs
    assert all(cost.memory > 0 and cost.cpu >= cost.busiest_cpu >= 0 for cost in there.costs)


def test_all_prefixes_are_added_and_removed(tunnel: Lab, family: Family) -> None:
    trial = measure(tunnel, generate(family, COUNT))
    check(trial)
    assert (trial.over, trial.mode, trial.openvpn[:4]) == ("tunnel", "iroute", "2.7.")
    branch = tunnel.running("branch").namespace
    assert count_routes(branch, "ipv4", BGP) == count_routes(branch, "ipv6", BGP) == 0


def test_missing_prefixes_time_the_trial_out(tunnel: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a router that accepts only half of the table."""
    monkeypatch.setattr("lab.measure.scale.trial.STALLED", 2.0)
    vtysh = ("vtysh", "-c", "configure terminal")
    bgp = ("-c", "router bgp 65002", "-c", "address-family ipv4 unicast")
    session = "neighbor 10.255.0.1 prefix-list HALF in"
    for no, clear in (("", "ip prefix-list HALF permit 10.0.0.0/9 le 32"), ("no ", "no ip prefix-list HALF")):
        tunnel.running("branch").exec(*vtysh, "-c", clear, *bgp, "-c", f"{no}{session}").raise_on_error()
        trial = measure(tunnel, generate("ipv4", 200))
        if no:
            check(trial)
            continue
        assert trial.status == "timed-out"
        assert trial.announced is not None
        assert 0 < trial.announced.in_fib < 200
        assert f"{trial.announced.in_fib} were in the FIB" in trial.reason


def test_scale_command_measures_both_media_and_records_the_trials(tmp_path: Path) -> None:
    options = ["--prefixes", "100", "--family", "ipv6", "--trials", "1", "--openvpn", "2.6"]
    result = CliRunner().invoke(app, ["scale", *options, "--out", str(tmp_path / "run"), "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    kept = read(tmp_path / "run")
    assert [t.over for t in kept] == ["wire", "tunnel"]
    assert [ScaleTrial.model_validate_json(json.dumps(t)) for t in found["trials"]] == kept
    for trial in kept:
        check(trial)
    wire, over_tunnel = found["lines"]
    assert over_tunnel["ratio"] == pytest.approx(over_tunnel["last"] / wire["last"])
    again = CliRunner().invoke(app, ["scale", *options, "--out", str(tmp_path / "run")])
    assert again.exit_code == 2
    shown = CliRunner().invoke(app, ["scale", "--show", str(tmp_path / "run"), "--markdown"])
    assert "| ipv6 | 100 | tunnel | 1 |" in shown.stdout
