"""Fixtures: a lab started by the program `lab` in its own directory."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.program import PATIENCE, Program


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Run `lab` as a process of its own, away from this repository."""
    directory = tmp_path_factory.mktemp("cli")
    environment = {k: v for k, v in os.environ.items() if k not in ("LAB_NAME", "LAB_DEBUG")}

    def run(*argv: str, lab_name: str | None = None) -> "subprocess.CompletedProcess[str]":
        chosen = {"LAB_NAME": lab_name} if lab_name else {}
        return subprocess.run(
            [sys.executable, "-m", "lab.cli", *argv],
            cwd=directory,
            env=environment | chosen,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def name(lab: Program) -> Iterator[str]:
    """The name of a running lab of the article's topology, unique to this process."""
    name = f"cli-{os.getpid()}"
    up = lab("up", "article", "--name", name)
    assert up.returncode == 0, up.stderr
    yield name
    lab("down", name)


@pytest.fixture(scope="module")
def ask(lab: Program, name: str) -> Program:
    """Run `lab` with the variable LAB_NAME set to that lab."""
    return lambda *argv: lab(*argv, lab_name=name)


@pytest.fixture(scope="module")
def directory(ask: Program) -> Path:
    """The running lab's directory."""
    import json

    return Path(json.loads(ask("status", "--json").stdout)["directory"])
