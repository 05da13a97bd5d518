"""`make figures`: the tables of the documentation, from a run that goes on where it was interrupted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.measure.record import RunDirectory
from lab.report.documentation import BEGIN, END
from tests.helpers.pages import ROOT

pytestmark = [pytest.mark.docker]

PLAN = "events: [announce]\nbaselines: [wire]\nfamilies: [ipv6]\ntrials: 30\nwarm-up: 0\n"


def make(directory: Path, *arguments: str) -> str:
    """Run `make figures` on the files of a directory, with this Python; return what it printed."""
    installed = f"{sys.prefix}/installed"
    files = [f"PLAN={directory}/tiny.yml", f"RUN={directory}/run", f"PAGE={directory}/page.md"]
    done = subprocess.run(
        ["make", "-C", ROOT, f"--old-file={installed}", "figures", f"VENV={sys.prefix}", *files, *arguments],
        env=os.environ | {"LAB_NO_INSTALL": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_figures_are_made_and_made_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "tiny.yml").write_text(PLAN)
    page.write_text(f"# A page\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    assert "2 events" in make(tmp_path, "ARGS=--trials 1")
    written = page.read_text()
    assert written.startswith(f"# A page\n\n{BEGIN}\n\nPlan `tiny`, n = 1 trials of each variant")
    assert written.endswith(f"{END}\n\nThe end.\n")
    assert "| announce | article | — | IPv6 | iroute 2.7 |" in written
    assert "Host: " in written

    # Without its last trial, as after an interruption: only that one is measured, and the page is written again.
    lines = (tmp_path / "run" / "trials.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "trials.jsonl").write_text("".join(lines[:-1]))
    assert "1 events" in make(tmp_path, "ARGS=--trials 1")
    again = RunDirectory(tmp_path / "run").trials()
    assert {(trial.variant, trial.number) for trial in again} == {(trial.variant, 1) for trial in again}
    assert len({trial.variant for trial in again}) == 2
    assert page.read_text().startswith(f"# A page\n\n{BEGIN}\n\nPlan `tiny`")
