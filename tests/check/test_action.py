"""The step of the GitHub Action that checks, run as a runner does on a real lab."""

from pathlib import Path

import pytest

from tests.helpers.action import run_step
from tests.helpers.labs import new_name

pytestmark = pytest.mark.docker

PLAIN = """name: {name}
topology:
  defaults: {{kind: linux, image: 'openvpn-routing-lab/node:2.6', network-mode: none}}
  nodes: {{one: {{}}, two: {{}}}}
  links:
    - {{endpoints: ["one:eth1", "two:eth1"], ipv4: [192.0.2.1/30, 192.0.2.2/30]}}
"""


def test_step_keeps_page_and_results_and_fails_if_something_does_not_hold(tmp_path: Path) -> None:
    (tmp_path / "net.clab.yml").write_text(PLAIN.format(name=new_name()))
    (tmp_path / "good.yml").write_text("expect: [{from: one, reaches: two}]\n")
    (tmp_path / "bad.yml").write_text(
        "expect: [{from: one, reaches: two}, {from: one, reaches: 192.0.2.9, within: 1}]\n"
    )
    inputs = {"topology": "net.clab.yml", "checks": "good.yml", "options": "--openvpn 2.7 --json"}
    done = run_step("check", tmp_path, inputs)
    assert done.returncode == 0, done.stderr
    assert '"held": true' in done.stdout
    assert (tmp_path / "runner" / "output").read_text() == "page=lab-check/page.html\njunit=lab-check/junit.xml\n"
    assert "<html" in (tmp_path / "lab-check" / "page.html").read_text()
    done = run_step("check", tmp_path, {"topology": "net.clab.yml", "checks": "bad.yml", "results": "other"})
    assert done.returncode == 1, done.stderr
    junit = (tmp_path / "other" / "junit.xml").read_text()
    assert (junit.count("<testcase "), junit.count("<failure ")) == (2, 1)


def test_step_reports_a_bad_file_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "net.clab.yml").write_text(PLAIN.format(name=new_name()))
    (tmp_path / "bad.yml").write_text("expect: [{from: one, reaches: tow}]\n")
    done = run_step("check", tmp_path, {"topology": "net.clab.yml", "checks": "bad.yml"})
    assert done.returncode == 2
    assert "did you mean 'two'?" in done.stderr
    assert len(done.stderr.splitlines()) == 1
