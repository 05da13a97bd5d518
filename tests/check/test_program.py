"""`lab check` as a user calls it: a lab of its own, or a running one, with files for CI systems and people."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from lab.runtime.lab import Lab

pytestmark = [pytest.mark.docker]

NAME = f"checked-{os.getpid()}"
BROKEN = """
within: 2
expect:
  - {from: branch-lan, reaches: hq-lan}
  - {from: branch-lan, reaches: 10.1.0.77}
"""


def check(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if key not in ("LAB_NAME", "LAB_DEBUG")}
    return subprocess.run(
        [sys.executable, "-m", "lab.cli", "check", *argv],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_own_lab_is_started_checked_and_taken_down(tmp_path: Path) -> None:
    result = check("frr-bird", "--name", NAME, "--json", "--junit", "x.xml", "--page", "x.html", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert (report["lab"], report["held"], report["trouble"]) == (NAME, True, "")
    assert len(report["steps"]) == 5
    results = [found for step in report["steps"] for found in step["results"]]
    root = Xml.parse(tmp_path / "x.xml").getroot()  # noqa: S314 - just written
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == (str(len(results)), "0", "0")
    page = (tmp_path / "x.html").read_text()
    assert all(step["step"] in page for step in report["steps"])
    listed = subprocess.run(
        [sys.executable, "-m", "lab.cli", "list", "--json"], capture_output=True, text=True, check=True
    )
    assert NAME not in [each["name"] for each in json.loads(listed.stdout)]


@pytest.mark.topology("article", openvpn="2.7")
def test_running_lab_is_checked_and_runs_on(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "broken.checks.yml").write_text(BROKEN)
    result = check("--lab", lab.name, "--checks", "broken.checks.yml", cwd=tmp_path)
    assert result.returncode == 1
    *_, failed, summary = result.stdout.splitlines()
    assert summary == f"lab {lab.name}: 1 of 2 expectations held; 1 does not hold"
    assert failed.startswith("broken.checks.yml:5: does not hold: branch-lan reaches 10.1.0.77 within 2 s; last seen: ")
    assert re.search(r"; cause: .*10\.1\.0\.77.*; logs: /", failed)
    # With the time that it took, if that is worth a mention.
    assert re.search(r"(?m)^           held  branch-lan reaches hq-lan(, [\d.]+ s)?$", result.stderr)
    lab.wait_ready()
