"""Owners of labs, and destroying labs whose owner has ended."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.core.process import _started, is_alive, this_process
from lab.engine import Instance, LabNetwork, NodeState
from lab.runtime import owner
from lab.runtime.registry import existing_labs


class FakeEngine:
    """An engine with instances that can be destroyed."""

    def __init__(self, *labs: tuple[str, str], directory: Path) -> None:
        self.instances = [
            Instance(lab, node, f"clab-{lab}-{node}", "image", NodeState.RUNNING, directory / lab, whose)
            for lab, whose in labs
            for node in ("hq", "branch")
        ]

        self.left: list[LabNetwork] = []

    def find(self, lab: str | None = None) -> list[Instance]:
        return [i for i in self.instances if lab in (None, i.lab)]

    def networks(self, lab: str | None = None) -> list[LabNetwork]:
        return [n for n in self.left if lab in (None, n.lab)]

    def remove_networks(self, lab: str) -> bool:
        self.left = [n for n in self.left if n.lab != lab]
        return True

    def destroy(self, instances: list[Instance]) -> None:
        self.instances = [i for i in self.instances if i not in instances]


def a_dead_process() -> str:
    """Return the name of a process that has ended."""
    program = "from lab.core.process import this_process; print(this_process())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_this_process_is_alive() -> None:
    name = this_process()
    assert name.startswith(f"{os.getpid()}-")
    assert is_alive(name)


def test_ended_process_is_not_alive() -> None:
    name = a_dead_process()
    assert name.partition("-")[2], "it told its start time"
    assert not is_alive(name)


def test_later_process_with_the_same_id_is_another() -> None:
    pid, _, started = this_process().partition("-")
    assert not is_alive(f"{pid}-{int(started) - 1}")


NOBODY = {
    "nothing": "",
    "no-id": "-",
    "a-word": "somebody",
    "a-word-and-a-time": "somebody-1",
    "no-time": f"{os.getpid()}",
    "an-empty-time": f"{os.getpid()}-",
}


@pytest.mark.parametrize("name", NOBODY.values(), ids=NOBODY)
def test_malformed_process_name_is_not_alive(name: str) -> None:
    assert not is_alive(name)


def test_start_time_of_a_command_with_spaces_and_parentheses(tmp_path: Path) -> None:
    program = tmp_path / "a ) 1 2 (b"
    program.symlink_to("/bin/cat")
    with subprocess.Popen([program], stdin=subprocess.PIPE) as process:
        assert _started(process.pid).isdigit()
        assert int(_started(process.pid)) >= int(_started(os.getpid()))
        assert process.stdin is not None
        process.stdin.close()


def test_sweep_destroys_only_labs_whose_process_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine: Any = FakeEngine(("users", ""), ("ours", this_process()), ("orphan", a_dead_process()), directory=tmp_path)
    assert owner.sweep(engine) == ["orphan"]
    assert {i.lab for i in engine.instances} == {"users", "ours"}
    assert owner.sweep(engine) == []


def test_sweep_destroys_a_lab_whose_process_ended_before_its_first_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine: Any = FakeEngine(directory=tmp_path)
    engine.left = [LabNetwork("orphan", tmp_path / "a", a_dead_process()), LabNetwork("users", tmp_path / "b")]
    assert existing_labs(engine) == ["orphan", "users"]
    assert owner.sweep(engine) == ["orphan"]
    assert existing_labs(engine) == ["users"]
