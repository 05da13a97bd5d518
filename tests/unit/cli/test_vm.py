"""`lab vm`, without a machine."""

from pathlib import Path

import pytest

from lab.vm import machine as vm
from lab.vm.machine import KEPT, Machine
from tests.unit.cli.paper import Program


def test_down_ends_the_machine_of_this_directory_alone(lab: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    there = [
        Machine(KEPT, "ours", Path(), lab.directory),
        Machine(KEPT, "somebody's", Path(), Path("/elsewhere")),
        Machine("tests-1", "a test's", Path(), lab.directory),
    ]
    monkeypatch.setattr(vm, "machines", lambda: [m for m in there if m.container not in ended])
    monkeypatch.setattr(vm, "sweep_machines", list)
    monkeypatch.setattr(Machine, "close", lambda self: ended.append(self.container))
    assert lab("vm", "down").stdout == f"the machine {KEPT} is down\n"
    assert ended == ["ours"]
    assert "no machine" in lab("vm", "down").stdout
    assert ended == ["ours"]
