"""`Instance.runs_program`: the runtime has executed the node's program, which has not ended."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.core.expect import Expectation, wait_for
from lab.engine import Instance, NodeState


@contextmanager
def first_process(program: Path, script: str) -> Iterator[Instance]:
    """Run a shell under another name in place of a node's first process."""
    shutil.copy2("/bin/sh", program)
    with subprocess.Popen([program, "-c", script], process_group=0) as process:
        try:
            yield Instance("some", "one", "c", "i", NodeState.RUNNING, Path("/nowhere"), pid=process.pid)
        finally:
            os.killpg(process.pid, 9)


def expect_runs_program(instance: Instance, *, runs: bool) -> None:
    wait_for(
        Expectation(
            what=f"runs_program to be {runs}",
            node=instance.node,
            look=lambda: instance.runs_program,
            met=lambda found: found is runs,
        ),
        within=30,
    )


@pytest.mark.parametrize("init", ["tini", "docker-init"])
def test_init_runs_no_program_until_its_child_executes_one(tmp_path: Path, init: str) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with first_process(tmp_path / init, f"(read line < {gate}; exec sleep 60) & wait") as instance:
        with gate.open("w") as opened:  # the child, still the init, reads it
            assert not instance.runs_program
            opened.write("go\n")
        expect_runs_program(instance, runs=True)


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_runtime_runs_no_program(tmp_path: Path, runtime: str) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with first_process(tmp_path / runtime, f"read line < {gate}; exec sleep 60") as instance:
        with gate.open("w") as opened:
            assert not instance.runs_program
            opened.write("go\n")
        expect_runs_program(instance, runs=True)


def test_any_other_program_runs(tmp_path: Path) -> None:
    with first_process(tmp_path / "daemon", "sleep 60 & wait") as instance:
        expect_runs_program(instance, runs=True)


def test_ended_process_runs_no_program(tmp_path: Path) -> None:
    with first_process(tmp_path / "daemon", "exit 127") as instance:
        expect_runs_program(instance, runs=False)
    assert not instance.runs_program
