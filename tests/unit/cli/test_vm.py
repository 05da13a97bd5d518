"""`lab vm`, without a machine."""

import subprocess
from pathlib import Path

import pytest

from lab.vm import machine as vm
from lab.vm.machine import KEPT, Machine
from tests.helpers.paper import Program


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


def test_what_a_command_prints_and_what_it_complains_of_stay_apart(
    lab: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's own part is played by this one's shell: it runs the script that was left for it."""
    machine = Machine(KEPT, "ours", tmp_path, lab.directory)
    monkeypatch.setattr(vm, "kept", lambda _: machine)
    monkeypatch.setattr("lab.vm.relay.script", lambda _, argv: f"echo {argv[1]}; echo slowly >&2; exit 3")

    def play(self: Machine) -> int:
        job = (self.directory / "job").read_text().replace("/run/share", str(self.directory))
        with (self.directory / "output.log").open("wb") as output:
            return subprocess.run(["bash", "-c", job], stdout=output, stderr=subprocess.STDOUT, check=False).returncode

    monkeypatch.setattr(Machine, "ended", play)
    result = lab("vm", "run", "--", "say", "this")
    assert (result.exit_code, result.stdout, result.stderr) == (3, "this\n", "slowly\n")
