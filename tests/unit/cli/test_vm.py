"""`lab vm` without a virtual machine."""

import subprocess
from pathlib import Path

import pytest

from lab.vm import virtual_machine as vm
from lab.vm.virtual_machine import KEPT, VirtualMachine
from tests.helpers.paper import Program


def test_down_ends_only_the_vm_of_this_directory(lab: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    existing = [
        VirtualMachine(KEPT, "ours", Path(), lab.directory),
        VirtualMachine(KEPT, "another's", Path(), Path("/elsewhere")),
        VirtualMachine("tests-1", "a test's", Path(), lab.directory),
    ]
    monkeypatch.setattr(vm, "virtual_machines", lambda: [m for m in existing if m.container not in ended])
    monkeypatch.setattr(vm, "sweep_virtual_machines", list)
    monkeypatch.setattr(VirtualMachine, "close", lambda self: ended.append(self.container))
    assert lab("vm", "down").stdout == f"the virtual machine {KEPT} is down\n"
    assert ended == ["ours"]
    assert "no virtual machine" in lab("vm", "down").stdout
    assert ended == ["ours"]


def test_run_keeps_stdout_and_stderr_apart(lab: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell of the host runs the script in place of the VM."""
    machine = VirtualMachine(KEPT, "ours", tmp_path, lab.directory)
    monkeypatch.setattr(vm, "kept", lambda _: machine)
    monkeypatch.setattr("lab.vm.relay.script", lambda _, argv: f"echo {argv[1]}; echo slowly >&2; exit 3")

    def play(self: VirtualMachine) -> int:
        job = (self.directory / "job").read_text().replace("/run/share", str(self.directory))
        with (self.directory / "output.log").open("wb") as output:
            return subprocess.run(["bash", "-c", job], stdout=output, stderr=subprocess.STDOUT, check=False).returncode

    monkeypatch.setattr(VirtualMachine, "exit_code", play)
    result = lab("vm", "run", "--", "say", "this")
    assert (result.exit_code, result.stdout, result.stderr) == (3, "this\n", "slowly\n")


def test_run_reports_a_vm_that_ends_during_the_job(
    lab: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = VirtualMachine(KEPT, "ours", tmp_path, lab.directory)
    monkeypatch.setattr(vm, "kept", lambda _: machine)
    monkeypatch.setattr(VirtualMachine, "running", False)
    monkeypatch.setattr(VirtualMachine, "describe_console", lambda self: "its console is empty")
    result = lab("vm", "run", "--", "true")
    assert result.exit_code == 2
    assert "the virtual machine ended; its console is empty" in result.stderr
