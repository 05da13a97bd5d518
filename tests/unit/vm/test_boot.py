"""Booting a VM: one that hangs before its first process runs is booted again, one that ends is not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from lab.core.errors import EnvironmentBroken, ExpectationFailed
from lab.vm.virtual_machine import VirtualMachine

HANGS, ENDS = ExpectationFailed("expected it to boot"), EnvironmentBroken("it ended")


@dataclass(frozen=True)
class FakeMachines(VirtualMachine):
    """VMs whose boots fail with an exception each, or succeed (None)."""

    fates: ClassVar[list[Exception | None]] = []
    closed: ClassVar[list[str]] = []

    @classmethod
    def _start(cls, *what: Any) -> Self:
        return cls(f"number {len(cls.closed) + 1}", "container", Path("/nowhere"), Path("/nowhere"))

    def _wait(self, file: str, what: str, within: float) -> None:
        assert file == "booted"
        if (fate := self.fates.pop(0)) is not None:
            raise fate

    def close(self) -> None:
        self.closed.append(self.name)


def boot(*fates: Exception | None) -> tuple[VirtualMachine, list[str]]:
    FakeMachines.fates[:], FakeMachines.closed[:] = fates, []
    said: list[str] = []
    containers: Any = None
    return FakeMachines._booted(said.append, containers), said


def test_vm_that_boots_is_returned() -> None:
    machine, said = boot(None)
    assert machine.name == "number 1"
    assert not FakeMachines.closed
    assert not said


def test_vm_that_hangs_is_ended_and_booted_again() -> None:
    machine, said = boot(HANGS, None)
    assert machine.name == "number 2"
    assert FakeMachines.closed == ["number 1"]
    assert said == ["expected it to boot: booting it again"]


@pytest.mark.parametrize(("fates", "booted"), [((HANGS, HANGS), 2), ((ENDS,), 1), ((HANGS, ENDS), 2)])
def test_vm_that_hangs_twice_or_ends_is_an_error_and_is_removed(fates: tuple[Exception], booted: int) -> None:
    with pytest.raises(type(fates[-1])):
        boot(*fates)
    assert len(FakeMachines.closed) == booted


def test_console_returns_last_lines_or_the_reason_of_a_panic(tmp_path: Path) -> None:
    machine = VirtualMachine("any", "container", tmp_path, tmp_path)
    assert machine.console(2) == ""
    console = tmp_path / "console.log"
    console.write_text("one\n\ntwo\r\nthree\n")
    assert machine.console(2) == "two\nthree"
    console.write_text("one\nno root\nKernel panic - not syncing\nCPU: 1\nCall Trace:\n <TASK>\n")
    assert machine.console(3) == "no root\nKernel panic - not syncing\nCPU: 1"


class DeadMachine(VirtualMachine):
    """A VM that does not run."""

    @property
    def running(self) -> bool:
        return False

    def describe_console(self) -> str:
        return "the console's last lines: no root"


def test_vm_that_ends_before_its_job_is_an_error(tmp_path: Path) -> None:
    machine = DeadMachine("any", "container", tmp_path, tmp_path)
    with pytest.raises(
        EnvironmentBroken, match="ended before it could finish its job; the console's last lines: no root"
    ):
        machine.run("exit 3", within=60)
    assert (tmp_path / "job").read_text() == "exit 3"
    assert machine.exit_code() is None
