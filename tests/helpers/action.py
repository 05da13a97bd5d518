"""The composite action of this repository."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ACTION = Path(__file__).parents[2] / ".github" / "actions" / "check" / "action.yml"


def action() -> dict[str, Any]:
    """Return the action's description."""
    found: dict[str, Any] = yaml.safe_load(ACTION.read_text())
    return found


def run_step(identity: str, workspace: Path, inputs: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the script of a step as a runner does, with the lab of these tests in place of the installed one."""
    (step,) = (step for step in action()["runs"]["steps"] if step.get("id") == identity)
    values = {name: given.get("default", "") for name, given in action()["inputs"].items()} | dict(inputs)
    temporary = workspace / "runner"
    temporary.mkdir(exist_ok=True)
    if not (temporary / "lab").exists():
        (temporary / "lab").symlink_to(sys.prefix)
    env = {name: values[text.removeprefix("${{ inputs.").removesuffix(" }}")] for name, text in step["env"].items()}
    runner = {"RUNNER_TEMP": str(temporary), "GITHUB_OUTPUT": str(temporary / "output")}
    # The options are those of GitHub's `shell: bash`.
    argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    return subprocess.run(
        argv, cwd=workspace, env=os.environ | env | runner, capture_output=True, text=True, timeout=300, check=False
    )
