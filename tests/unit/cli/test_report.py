"""`lab report`: what it prints, and with which exit code."""

import json
from pathlib import Path

import pytest

from tests.helpers import runs
from tests.helpers.paper import Program

ANNOUNCE = [t for t in runs.trials(8, families=("ipv4",)) if t.variant.event == "announce"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A small run."""
    return runs.write(tmp_path / "run", ANNOUNCE).path


def test_page_is_written_into_the_runs_directory(lab: Program, run: Path) -> None:
    result = lab("report", str(run))
    assert result.exit_code == 0, result.stderr
    assert f"{run}/report/report.html; 5 figures and 5 tables beside it" in result.stdout
    assert (run / "report/report.html").exists()
    assert "drawing announce" in result.stderr


def test_json_has_bare_numbers(lab: Program, run: Path) -> None:
    result = lab("report", str(run), "--json", "--out", str(run.parent / "elsewhere"))
    found = json.loads(result.stdout)
    assert found["page"] == str(run.parent / "elsewhere/report.html")
    (fib,) = (row for row in found["rows"] if (row["quantity"], row["over"]) == ("fib", "tunnel"))
    assert set(fib) == {
        *("event", "detector", "family", "topology", "over", "mode", "openvpn", "on", "quantity", "unit"),
        *("n", "min", "median", "p95", "max", "error", "valid", "invalid", "timed_out"),
        *("to_wire", "to_wire_low", "to_wire_high", "to_vxlan", "to_vxlan_low", "to_vxlan_high"),
    }
    assert (fib["n"], fib["invalid"], fib["timed_out"]) == (6, 1, 1)
    assert not (run / "report").exists()


def test_markdown(lab: Program, run: Path) -> None:
    result = lab("report", str(run), "--markdown")
    assert result.stdout.startswith("# Convergence: synthetic\n")
    assert result.stdout == (run / "report/report.md").read_text()


def test_results_are_written_into_a_page(lab: Program, run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- figures: begin -->\n<!-- figures: end -->\n")
    result = lab("report", str(run), "--into", str(page))
    assert (result.exit_code, result.stdout) == (0, f"{page}: written between its markers\n")
    assert "Plan `synthetic`, n = 30" in page.read_text()
    assert not (run / "report").exists()
    assert json.loads(lab("report", str(run), "--into", str(page), "--json").stdout) == {"page": str(page)}
    page.write_text("nothing")
    assert lab("report", str(run), "--into", str(page)).exit_code == 2
    two = lab("report", str(run), str(run), "--into", str(page))
    assert (two.exit_code, two.stderr) == (2, "lab: --into writes the results of one run: give one\n")


def test_two_runs_are_compared(lab: Program, run: Path) -> None:
    slower = [t for t in runs.trials(8, slower=9, families=("ipv4",)) if t.variant.event == "announce"]
    other = runs.write(run.parent / "other", slower, "slower").path
    result = lab("report", str(run), str(other))
    assert result.exit_code == 0, result.stderr
    assert "quantities differ beyond the noise." in result.stdout
    assert "announce, ipv4, article, iroute 2.7" in result.stdout
    found = json.loads(lab("report", str(run), str(other), "--json").stdout)
    assert set(found) == {
        *("page", "findings", "differences", "only_before", "only_after", "incomparable", "environment")
    }
    assert found["page"] == str(other / "comparison/report.html")
    assert {d["verdict"] for d in found["differences"]} == {"more", "within the noise"}


def test_directory_without_a_run_is_reported_in_one_line(lab: Program, run: Path, tmp_path: Path) -> None:
    nowhere = lab("report", str(tmp_path / "nowhere"))
    assert nowhere.exit_code == 2
    assert "is not a directory of `lab measure`" in nowhere.stderr
    many = lab("report", str(run), str(run), str(run))
    assert (many.exit_code, many.stderr) == (
        2,
        "lab: 3 runs given: give one for a report, two to compare, or shards of one plan\n",
    )
    empty = lab("report", str(runs.write(tmp_path / "empty", []).path))
    assert empty.exit_code == 2
    assert "has no trials yet" in empty.stderr
    with (run / "trials.jsonl").open("a") as file:
        file.write("{}\n")
    broken = lab("report", str(run))
    assert broken.exit_code == 2
    assert "trials.jsonl, line 25: variant: Field required" in broken.stderr
