"""A machine that hangs before its first process runs is booted once more, and one that ends is not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from lab.core.errors import EnvironmentBroken, ExpectationFailed
from lab.vm.machine import Machine

HANGS, ENDS = ExpectationFailed("expected the machine to boot"), EnvironmentBroken("the machine ended")


@dataclass(frozen=True)
class Machines(Machine):
    """Machines that do one after the other what they are told to: fail, or boot (None)."""

    fates: ClassVar[list[Exception | None]] = []
    closed: ClassVar[list[str]] = []

    @classmethod
    def _start(cls, *what: Any) -> Self:
        return cls(f"number {len(cls.closed) + 1}", "container", Path("/nowhere"))

    def _wait(self, file: str, what: str, within: float) -> None:
        assert file == "booted"
        if (fate := self.fates.pop(0)) is not None:
            raise fate

    def close(self) -> None:
        self.closed.append(self.name)


def boot(*fates: Exception | None) -> tuple[Machine, list[str]]:
    Machines.fates[:], Machines.closed[:] = fates, []
    said: list[str] = []
    client: Any = None
    return Machines._booted(said.append, client), said


def test_one_that_boots_is_taken_as_it_is() -> None:
    machine, said = boot(None)
    assert machine.name == "number 1"
    assert not Machines.closed
    assert not said


def test_one_that_hangs_is_ended_and_booted_once_more() -> None:
    machine, said = boot(HANGS, None)
    assert machine.name == "number 2"
    assert Machines.closed == ["number 1"]
    assert said == ["expected the machine to boot: booting it once more"]


@pytest.mark.parametrize(("fates", "booted"), [((HANGS, HANGS), 2), ((ENDS,), 1), ((HANGS, ENDS), 2)])
def test_one_that_hangs_again_or_ends_is_an_error_and_nothing_is_left(fates: tuple[Exception], booted: int) -> None:
    with pytest.raises(type(fates[-1])):
        boot(*fates)
    assert len(Machines.closed) == booted


def test_a_console_ends_with_what_tells(tmp_path: Path) -> None:
    machine = Machine("talks", "container", tmp_path)
    assert machine.console(2) == ""
    console = tmp_path / "console.log"
    console.write_text("one\n\ntwo\r\nthree\n")
    assert machine.console(2) == "two\nthree"
    console.write_text("one\nno root\nKernel panic - not syncing\nCPU: 1\nCall Trace:\n <TASK>\n")
    assert machine.console(3) == "no root\nKernel panic - not syncing\nCPU: 1"
