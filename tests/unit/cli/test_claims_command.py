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


def written(directory: Path) -> dict[str, str]:
    """Return the texts of evidence in the documentation's record, by test."""
    rows = json.loads((directory / "docs/claims.json").read_text())
    return {row["test"]: row["evidence"][0]["text"] for row in rows}


def test_write_keeps_findings_and_page_in_the_documentation(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_HOLDS)
    assert lab_claims(tmp_path, ".").returncode == 0
    assert not (tmp_path / "docs").exists()
    assert lab_claims(tmp_path, ".", "--write").returncode == 0
    assert written(tmp_path) == {"test_wet": "splash"}
    page = tmp_path / "docs/findings/claims.md"
    text = page.read_text()
    assert "water is wet" in text
    page.unlink()
    (tmp_path / "test_it.py").unlink()
    assert lab_claims(tmp_path, ".", "--page").returncode == 0
    assert page.read_text() == text


def test_renew_runs_one_claim_and_leaves_the_others(tmp_path: Path) -> None:
    others = _HOLDS + _HOLDS.replace("test_wet", "test_cold").replace("splash", "crack")
    (tmp_path / "test_it.py").write_text(others)
    assert lab_claims(tmp_path, ".", "--write").returncode == 0
    before = (tmp_path / "docs/claims.json").read_text()
    (tmp_path / "test_it.py").write_text(others.replace("splash", "SPLASH").replace("crack", "CRACK"))
    assert lab_claims(tmp_path, ".", "--renew", "test_wet").returncode == 0
    assert written(tmp_path) == {"test_wet": "SPLASH", "test_cold": "crack"}
    assert "SPLASH" in (tmp_path / "docs/findings/claims.md").read_text()
    (tmp_path / "test_it.py").write_text(others)
    assert lab_claims(tmp_path, ".", "-k", "test_wet").returncode == 0
    assert (tmp_path / "docs/claims.json").read_text() == before


def test_renew_of_an_unknown_claim_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_HOLDS)
    result = lab_claims(tmp_path, ".", "--renew", "test_dry")
    assert result.returncode == 2
    assert "'test_dry'" in result.stderr


def test_claim_without_a_verdict_is_not_written_into_the_documentation(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_HOLDS)
    assert lab_claims(tmp_path, ".", "--write").returncode == 0
    before = (tmp_path / "docs/claims.json").read_text()
    (tmp_path / "test_it.py").write_text(_HOLDS.replace("claim.holds()", "assert False"))
    assert lab_claims(tmp_path, ".", "--renew", "test_wet").returncode == 1
    assert (tmp_path / "docs/claims.json").read_text() == before


def test_findings_of_a_test_that_is_gone_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_HOLDS)
    assert lab_claims(tmp_path, ".", "--write").returncode == 0
    (tmp_path / "test_it.py").write_text(_HOLDS.replace("test_wet", "test_damp"))
    assert lab_claims(tmp_path, ".", "--write").returncode == 0
    assert written(tmp_path) == {"test_damp": "splash"}


def test_evidence_of_two_runs_is_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_HOLDS)
    for _ in range(2):
        assert lab_claims(tmp_path, ".").returncode == 0
    assert (tmp_path / "artefacts/claims/test_wet-2.6/echo.txt").read_text() == "splash\n"
