"""Run texts of checks files in a lab."""

from pathlib import Path

from lab.check.model import Checked, Result, Verdict
from lab.check.reader import parse_checks
from lab.check.run import Run
from lab.runtime.lab import Lab

FILE = Path("test.checks.yml")


def run(lab: Lab, text: str) -> list[Checked]:
    """Run all steps of a text and return the results."""
    with Run(lab, parse_checks(text, FILE, lab.topology, environ={})) as checks:
        return checks.all()


def expectations(lines: list[str], *, within: float) -> str:
    """Return a text that expects these items of a lab as it is."""
    return "\n".join([f"within: {within}", "expect:", *(f"  - {line}" for line in lines)])


def verdicts(results: list[Checked]) -> dict[str, Verdict]:
    """Return the verdicts by what was expected."""
    return {checked.what: checked.result.verdict for checked in results}


def bad(results: list[Checked]) -> list[str]:
    """Return what did not hold, each with what was seen."""
    return [f"{c.what}: {c.result.verdict}: {c.result.seen}; {c.result.cause}" for c in results if not c.result.good]


def single(lab: Lab, line: str, *, within: float = 30) -> Result:
    """Return the result of a single expectation."""
    (checked,) = run(lab, expectations([line], within=within))
    return checked.result
