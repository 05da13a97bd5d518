"""`lab claims` on tests that need no lab: verdicts, exit codes, formats."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_HOLDS = """
import pytest

@pytest.mark.claims("water is wet")
def test_wet(claim):
    claim.echo("splash")
    claim.holds()
"""
_FAILS = """
import pytest

@pytest.mark.claims("the moon is made of cheese")
def test_cheese(claim):
    assert False
"""


def lab_claims(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "lab.cli", "claims", "--openvpn", "2.6", *arguments]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)


def test_a_verdict_and_its_evidence_are_printed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_HOLDS)
    result = lab_claims(tmp_path, ".")
    assert result.returncode == 0, result.stderr
    assert "water is wet" in result.stdout
    assert "echo: splash [test_wet-2.6/echo.txt]" in result.stdout
    assert (tmp_path / "artefacts/claims/test_wet-2.6/echo.txt").read_text() == "splash\n"


@pytest.mark.parametrize(("flag", "first"), [("--json", "["), ("--markdown", "| claim |")])
def test_other_formats(tmp_path: Path, flag: str, first: str) -> None:
    (tmp_path / "test_it.py").write_text(_HOLDS)
    result = lab_claims(tmp_path, ".", flag)
    assert result.stdout.startswith(first)
    if flag == "--json":
        assert json.loads(result.stdout)[0]["verdict"] == "holds"


def test_a_claim_that_could_not_be_shown_is_a_failed_check(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_FAILS)
    result = lab_claims(tmp_path, ".")
    assert result.returncode == 1
    assert "not shown" in result.stdout


def test_no_tests_is_bad_input_in_one_line(tmp_path: Path) -> None:
    result = lab_claims(tmp_path, "nowhere")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "nowhere" in result.stderr
    (tmp_path / "test_it.py").write_text("def test_nothing(): pass\n")
    result = lab_claims(tmp_path, ".")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
