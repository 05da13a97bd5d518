"""`lab scale`, `lab modes` and `lab claims` with `--cluster local:2`: the same results, from labs of two workers."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lab.cli.app import app
from lab.measure.scale import read

pytestmark = pytest.mark.docker


def spread(*argv: str) -> Result:
    """Run a command on two workers, which have both to say what they do."""
    result = CliRunner().invoke(app, [*argv, "--cluster", "local:2", "--json"])
    assert result.exit_code == 0, result.output
    for worker in ("-1: ", "-2: "):
        assert worker in result.stderr
    return result


def test_scale_measures_each_block_on_one_worker(tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = json.loads(
        spread("scale", "--prefixes", "100", "--family", "ipv4", "--trials", "2", "--out", str(out)).stdout
    )
    assert sorted((t.over, t.number) for t in read(out)) == [(over, n) for over in ("tunnel", "wire") for n in (1, 2)]
    assert [(line["over"], line["trials"]) for line in found["lines"]] == [("wire", 2), ("tunnel", 2)]


def test_modes_are_measured_by_both_workers() -> None:
    options = ["--only", "p2p-tls", "--openvpn", "2.6", "--transport", "tcp", "--clients", "1"]
    found = json.loads(spread("modes", *options, "--seconds", "1", "--rounds", "1").stdout)
    (tunnel,) = found["tunnels"]
    assert (tunnel["disagreements"], tunnel["missing"], tunnel["failure"]) == ([], None, None)
    assert {way["ratio"] > 0 for way in tunnel["throughput"].values()} == {True}
    assert [(hub["clients"], hub["hub"]["routed_for"]) for hub in found["hubs"]] == [(1, 1)]


def test_claims_are_shown_by_both_workers(tmp_path: Path) -> None:
    names = ["test_inner_mtu_is_1500", "test_preshared_keys_work_point_to_point"]
    renew = [option for name in names for option in ("-k", name)]
    places = ["--out", str(tmp_path / "claims"), "--docs", str(tmp_path / "docs")]
    found = json.loads(spread("claims", "tests", "--openvpn", "2.6", *renew, *places).stdout)
    assert sorted({finding["test"] for finding in found}) == names
    assert json.loads((tmp_path / "docs" / "claims.json").read_text())
