"""`lab advise`: tables, JSON and exit codes."""

import json
from pathlib import Path

from tests.helpers.paper import Program

SAMPLES = Path(__file__).parents[2] / "data" / "advise"
FINDING = {"subject", "rule", "failure", "verdict", "why", "lines", "do", "source", "test"}


def test_exposed_topology_ends_with_1(lab: Program) -> None:
    result = lab("advise", "article", "--json")
    assert result.exit_code == 1
    findings = json.loads(result.stdout)
    assert all(set(finding) == FINDING for finding in findings)
    assert {f["subject"] for f in findings} == {"branch-hq: server on hq", "branch-hq: client on branch"}
    (quota,) = [f for f in findings if f["rule"] == "route-quota" and f["verdict"] == "exposed"]
    assert set(quota["lines"][0]) == {"file", "line"}


def test_all_option_shows_failures_that_are_not_exposed(lab: Program) -> None:
    file = str(SAMPLES / "road-warrior.server.conf")
    short, whole = lab("advise", "--config", file), lab("advise", "--config", file, "--all")
    assert short.exit_code == whole.exit_code == 1
    assert f"{file}:14" in short.stdout
    assert "static-key" not in short.stdout
    assert "static-key" in whole.stdout


def test_unknown_verdict_ends_with_0(lab: Program) -> None:
    result = lab("advise", "--config", str(SAMPLES / "inline.client.ovpn"))
    assert result.exit_code == 0
    assert "cannot tell" in result.stdout


def test_topology_without_tunnels_says_so_in_one_line(lab: Program) -> None:
    file = lab.directory / "plain.clab.yml"
    file.write_text("name: plain\ntopology: {nodes: {a: {kind: linux, image: x:1}}}\n")
    result = lab("advise", str(file))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{file}: no tunnels, so there is nothing to advise on\n"
    assert json.loads(lab("advise", str(file), "--json").stdout) == []


def test_unreadable_file_is_reported_in_one_line(lab: Program) -> None:
    file = lab.directory / "broken.conf"
    file.write_text('dev tun\npush "route\n')
    result = lab("advise", "--config", str(file))
    assert (result.exit_code, result.stderr) == (2, f'lab: {file}:2: no closing quotation mark (")\n')
    assert lab("advise", "--config", str(lab.directory / "gone.conf")).exit_code == 2
    assert lab("advise").exit_code == 2
