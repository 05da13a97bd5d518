"""The commands that `lab up` prints to try next: each of them is run as it is printed."""

import os
import shlex
from pathlib import Path

import pytest

from tests.helpers.program import Program

pytestmark = pytest.mark.docker

PLAIN = """
name: {name}
topology:
  nodes:
    router1: {{kind: linux, image: "openvpn-routing-lab/node:2.6"}}
    router2: {{kind: linux, image: "openvpn-routing-lab/node:2.6"}}
  links:
    - endpoints: ["router1:eth1", "router2:eth1"]
"""


def steps_of(output: str) -> list[list[str]]:
    """Return the arguments of `lab` in each of the printed commands."""
    _, _, steps = output.partition("Try next:\n")
    return [
        shlex.split(line.partition("__main__.py")[2] or line.strip().removeprefix("lab")) for line in steps.splitlines()
    ]


def test_each_step_works_on_the_article(lab: Program) -> None:
    name = f"next-{os.getpid()}"
    up = lab("up", "article", "--name", name)
    try:
        assert up.returncode == 0, up.stderr
        steps = steps_of(up.stdout)
        assert [step[0] for step in steps] == ["announce", "capture", "exec"]
        announced, captured, pinged = (lab(*step) for step in steps)
        assert (announced.returncode, "in the kernel FIB" in announced.stderr) == (0, True), announced.stderr
        assert (captured.returncode, "10 packets captured" in captured.stderr) == (0, True), captured.stderr
        assert (pinged.returncode, "3 received" in pinged.stdout) == (0, True), pinged.stdout
    finally:
        assert lab("down", name).returncode == 0


@pytest.mark.parametrize("topology", ["road-warrior-bgp", "dual-homed", "PLAIN"])
def test_each_step_works_on(lab: Program, topology: str, tmp_path: Path) -> None:
    name = f"next-{os.getpid()}"
    file = tmp_path / "plain.clab.yml"
    file.write_text(PLAIN.format(name=name))
    up = lab("up", *((str(file),) if topology == "PLAIN" else (topology, "--name", name)))
    try:
        assert up.returncode == 0, up.stderr
        steps = steps_of(up.stdout)
        assert len(steps) == 3
        for step in steps:
            result = lab(*step)
            assert result.returncode == 0, (step, result.stderr)
    finally:
        lab("down", name)
