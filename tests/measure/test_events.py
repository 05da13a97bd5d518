"""Each event caused once, over the tunnel and the bare wire, with one path and with two."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.measure.record import RunDirectory, Trial
from lab.measure.trials.events import EVENTS

pytestmark = [pytest.mark.docker]

PLANS: dict[str, dict[str, Any]] = {
    "in-short": {
        "events": ["client-killed", "sigusr1", "hard-reset", "daemon-killed", "node-paused"],
        "detectors": ["bfd 3x100 ms"],
        "baselines": [],
        "families": ["ipv6"],
    },
    "one-path": {
        "topologies": ["article"],
        "detectors": ["bfd 3x100 ms", "interface", "ping-restart 6 s"],
        "baselines": ["wire"],
        "families": ["ipv4"],
    },
    "two-equal-paths": {
        "topologies": ["dual-homed"],
        "variables": {"PREFERENCE": "100"},
        "events": ["worsen", "next-hop"],
        "baselines": ["wire"],
        "families": ["ipv4", "ipv6"],
    },
    "two-paths": {
        "topologies": ["dual-homed"],
        "variables": {"PREFERENCE": "200"},
        "events": ["client-killed", "server-killed", "blackhole", "link-down", "sigusr1"],
        "detectors": ["bfd 3x100 ms", "ping-restart 6 s", "interface"],
        "baselines": ["wire"],
        "families": ["ipv6"],
    },
}

UNDETECTED = {"announce", "withdraw", "worsen", "next-hop", "soft-reset", "hard-reset"}


def measured(name: str, directory: Path) -> list[Trial]:
    plan, out = directory / f"{name}.plan.yml", directory / "run"
    plan.write_text(json.dumps({"trials": 1, "warm-up": 0, **PLANS[name]}))
    run = CliRunner().invoke(app, ["measure", str(plan), "--out", str(out), "--json"])
    assert run.exit_code == 0, run.output
    return RunDirectory(out).trials()


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.thorough if n in ("one-path", "two-paths") else ()) for n in PLANS],
)
def test_events_have_their_outcomes(name: str, tmp_path: Path) -> None:
    trials = measured(name, tmp_path)
    wanted = PLANS[name].get("events", [e for e in EVENTS if not EVENTS[e].two_paths])
    names = {event for each in wanted for event in EVENTS[each].measured}
    assert {trial.variant.event for trial in trials} == names
    for trial in trials:
        variant = trial.variant
        # A busy host may make a trial invalid, but not keep an event from its outcome.
        assert trial.status in ("valid", "invalid"), f"{variant}: {trial.reason}"
        if variant.event == "soft-reset":
            assert trial.at("fib") is None, f"{variant}: the route changed"
        elif variant.event not in ("sigusr1", "hard-reset"):
            assert trial.at("fib") is not None, f"{variant}: {trial.reason or trial.flags}"
        if variant.event in UNDETECTED:
            assert variant.detector == ""
        assert trial.data_plane is not None
    labels = {(t.variant.event, t.variant.over): t.variant.detector for t in trials}
    if name == "one-path":
        assert labels["client-killed", "tunnel"] == labels["link-down", "wire"] == "interface"
        by = {t.variant.detector for t in trials if (t.variant.event, t.variant.over) == ("link-down", "tunnel")}
        assert by == {"bfd 3x100 ms", "ping-restart 6 s"}
