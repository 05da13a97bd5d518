"""`lab claims` with a real test run, on tests that need no lab."""

import json
import subprocess
import sys
from pathlib import Path

HOLDS = """
import pytest

@pytest.mark.claims("water is wet")
def test_wet(claim):
    claim.echo("splash at 192.0.2.1:50123")
    claim.holds()

@pytest.mark.claims("ice is cold")
def test_cold(claim):
    claim.echo("crack")
    claim.holds()
"""


def lab_claims(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "lab.cli", "claims", ".", "--openvpn", "2.6", *arguments]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)


def test_renewed_claim_is_merged_into_the_record(tmp_path: Path) -> None:
    tests = tmp_path / "test_it.py"
    tests.write_text(HOLDS)
    first = lab_claims(tmp_path, "--write")
    assert first.returncode == 0, first.stderr
    assert "water is wet" in first.stdout
    record = tmp_path / "docs/claims.json"
    before = record.read_text()
    assert [row["evidence"][0]["text"] for row in json.loads(before)] == ["splash at 192.0.2.1:PORT", "crack"]
    assert (tmp_path / "artefacts/claims/test_wet-2.6/echo.txt").read_text() == "splash at 192.0.2.1:50123\n"

    tests.write_text(HOLDS.replace("50123", "41000").replace("crack", "CRACK"))
    again = lab_claims(tmp_path, "--renew", "test_wet")
    assert again.returncode == 0, again.stderr
    assert record.read_text() == before


def test_failed_test_of_a_claim_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(HOLDS.replace("claim.holds()", "assert False"))
    result = lab_claims(tmp_path)
    assert result.returncode == 1
    assert "not shown" in result.stdout


def test_directory_without_tests_is_reported_in_one_line(tmp_path: Path) -> None:
    result = lab_claims(tmp_path)
    assert result.returncode not in (0, 1)
    assert result.stderr.splitlines()[-1].startswith("lab: pytest ended with 5")
    assert "Traceback" not in result.stderr
