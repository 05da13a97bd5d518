"""`lab claims` around a test run of its own: what it prints, keeps and writes into the documentation."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.claims.claims import Evidence, Finding, Verdict
from lab.claims.record import as_json
from tests.helpers.paper import Program


class Run:
    """The run of pytest: returns a given exit code and writes what the plugin would."""

    def __init__(self, directory: Path) -> None:
        self.found = {"test_wet": "splash"}
        """The evidence of each test."""
        self.code = 0
        self.asked: list[tuple[Path, str, Sequence[str]]] = []
        self.verdict = Verdict.HOLDS
        self._directory = directory
        self.define()

    def define(self) -> None:
        """Write the file of the tests."""
        text = "\n".join(f"def {test}(claim): ..." for test in self.found)
        (self._directory / "tests").mkdir(exist_ok=True)
        (self._directory / "tests/test_it.py").write_text(text)

    def __call__(
        self, tests: Path, openvpn: str, directory: Path, renew: Sequence[str]
    ) -> "subprocess.CompletedProcess[str]":
        self.asked.append((tests, openvpn, renew))
        findings = []
        for test, text in self.found.items():
            if renew and not any(part in test for part in renew):
                continue
            folder = directory / f"{test}-2.6"
            folder.mkdir(parents=True)
            with (folder / "echo.txt").open("a") as file:
                file.write(f"{text}\n")
            evidence = (Evidence("echo", text, f"{folder.name}/echo.txt"),)
            findings.append(
                Finding(test, f"sentence of {test}", "2.6", self.verdict, evidence=evidence, file="tests/test_it.py")
            )
        if findings:
            (directory / "claims.json").write_text(as_json(findings))
        code = self.code if findings else 5
        return subprocess.CompletedProcess([], code, "", "the last word" if code > 1 else "")


@pytest.fixture
def run(lab: Program, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run(lab.directory)
    monkeypatch.setattr("lab.cli.claims._pytest", run)
    return run


def written(directory: Path) -> dict[str, str]:
    """Return the texts of evidence in the documentation's record, by test."""
    rows = json.loads((directory / "docs/claims.json").read_text())
    return {row["test"]: row["evidence"][0]["text"] for row in rows}


def test_verdict_and_evidence_are_printed_and_kept(lab: Program, run: Run) -> None:
    result = lab("claims", "--openvpn", "2.6")
    assert result.exit_code == 0, result.output
    assert run.asked == [(Path("tests"), "2.6", [])]
    assert "sentence of test_wet" in result.stdout
    assert "echo: splash [test_wet-2.6/echo.txt]" in result.stdout
    assert (lab.directory / "artefacts/claims/test_wet-2.6/echo.txt").read_text() == "splash\n"


@pytest.mark.parametrize(("flag", "first"), [("--json", "["), ("--markdown", "| claim |")])
def test_formats(lab: Program, run: Run, flag: str, first: str) -> None:
    result = lab("claims", flag)
    assert result.stdout.startswith(first)
    if flag == "--json":
        assert json.loads(result.stdout)[0]["verdict"] == "holds"


def test_claim_without_a_verdict_is_a_failed_check(lab: Program, run: Run) -> None:
    run.code, run.verdict = 1, Verdict.NOT_SHOWN
    result = lab("claims")
    assert result.exit_code == 1
    assert "not shown" in result.stdout


def test_missing_directory_of_tests_is_bad_input(lab: Program, run: Run) -> None:
    result = lab("claims", "nowhere")
    assert result.exit_code == 2
    assert run.asked == []
    assert "nowhere" in result.stderr


def test_pytest_that_ends_otherwise_is_reported_with_its_last_line(lab: Program, run: Run) -> None:
    run.found = {}
    result = lab("claims")
    assert result.exit_code == 2
    assert result.stderr.endswith("lab: pytest ended with 5: the last word\n")


def test_write_keeps_findings_and_page_in_the_documentation(lab: Program, run: Run) -> None:
    assert lab("claims").exit_code == 0
    assert not (lab.directory / "docs").exists()
    assert lab("claims", "--write").exit_code == 0
    assert written(lab.directory) == {"test_wet": "splash"}
    page = lab.directory / "docs/findings/claims.md"
    text = page.read_text()
    assert "sentence of test_wet" in text
    page.unlink()
    assert lab("claims", "--page").exit_code == 0
    assert page.read_text() == text
    assert len(run.asked) == 2, "--page runs no test"


def test_page_needs_a_record(lab: Program) -> None:
    result = lab("claims", "--page")
    assert result.exit_code == 2
    assert "docs/claims.json does not exist" in result.stderr


def test_renew_runs_one_claim_and_leaves_the_others(lab: Program, run: Run) -> None:
    run.found = {"test_wet": "splash", "test_cold": "crack"}
    run.define()
    assert lab("claims", "--write").exit_code == 0
    before = (lab.directory / "docs/claims.json").read_text()
    run.found = {"test_wet": "SPLASH", "test_cold": "CRACK"}
    assert lab("claims", "--renew", "wet").exit_code == 0
    assert run.asked[-1] == (Path("tests"), "all", ["wet"])
    assert written(lab.directory) == {"test_wet": "SPLASH", "test_cold": "crack"}
    assert "SPLASH" in (lab.directory / "docs/findings/claims.md").read_text()
    run.found = {"test_wet": "splash", "test_cold": "CRACK"}
    assert lab("claims", "-k", "wet").exit_code == 0
    assert (lab.directory / "docs/claims.json").read_text() == before


def test_renew_of_an_unknown_claim_is_bad_input(lab: Program, run: Run) -> None:
    result = lab("claims", "--renew", "test_dry")
    assert result.exit_code == 2
    assert "'test_dry'" in result.stderr


def test_finding_without_a_verdict_is_not_written_into_the_documentation(lab: Program, run: Run) -> None:
    assert lab("claims", "--write").exit_code == 0
    before = (lab.directory / "docs/claims.json").read_text()
    run.code, run.verdict = 1, Verdict.NOT_SHOWN
    assert lab("claims", "--renew", "test_wet").exit_code == 1
    assert (lab.directory / "docs/claims.json").read_text() == before


def test_findings_of_a_test_that_is_gone_are_dropped(lab: Program, run: Run) -> None:
    assert lab("claims", "--write").exit_code == 0
    run.found = {"test_damp": "splash"}
    run.define()
    assert lab("claims", "--write").exit_code == 0
    assert written(lab.directory) == {"test_damp": "splash"}


def test_evidence_of_two_runs_is_not_mixed(lab: Program, run: Run) -> None:
    for _ in range(2):
        assert lab("claims").exit_code == 0
    assert (lab.directory / "artefacts/claims/test_wet-2.6/echo.txt").read_text() == "splash\n"
