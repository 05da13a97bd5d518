"""The lab's virtual machine: boot failures, jobs, and cleanup after its owner was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.core.expect import Expectation, wait_for
from lab.core.process import this_process
from lab.vm import VirtualMachine, sweep_virtual_machines
from lab.vm.virtual_machine import virtual_machines

pytestmark = [pytest.mark.docker, pytest.mark.kernel]

OWNER = """
import sys, time
from pathlib import Path
from lab.core.process import this_process
from lab.vm import VirtualMachine
machine = VirtualMachine.boot(sys.argv[1], Path.cwd(), owner=this_process())
print(machine.directory, flush=True)
time.sleep(3600)
"""


@pytest.fixture(autouse=True)
def _needs_vm(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--lab-kernel") == "host":
        pytest.skip("virtual machines are booted by `make test-kernel`")


def names() -> set[str]:
    return {machine.name for machine in virtual_machines()}


def test_vm_that_does_not_boot_is_one_sentence() -> None:
    name = f"no-root-{os.getpid()}"
    with pytest.raises(EnvironmentBroken) as failure:
        VirtualMachine.boot(name, Path.cwd(), owner=this_process(), append="root=/dev/nowhere rootwait=1")
    assert "\n" not in str(failure.value)
    assert "ended before it could boot; the console's last lines: " in str(failure.value)
    assert "panic" in str(failure.value)
    assert name not in names()


def test_vm_runs_jobs_and_returns_exit_codes() -> None:
    """The guest's OCI runtime runs beside the host's programs."""
    with VirtualMachine.boot(f"jobs-{os.getpid()}", Path.cwd(), owner=this_process()) as machine:
        assert machine.run("/guest/engine/crun --version > /dev/null && echo heard; exit 3", 60) == 3
        assert (machine.directory / "output.log").read_text() == "heard\n"
        assert not machine.busy
        (machine.directory / "off").touch()
        with pytest.raises(EnvironmentBroken, match="ended before it could finish its job"):
            machine.run("sleep 600", 60)
    assert machine.name not in names()


def test_vm_ends_with_its_killed_owner(tmp_path: Path) -> None:
    name = f"orphan-{os.getpid()}"
    argv = [sys.executable, "-c", OWNER, name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        directory = Path(owner.stdout.readline().strip())
        assert (directory / "shell.sock").exists()
        owner.send_signal(signal.SIGKILL)
    (orphan,) = (machine for machine in virtual_machines() if machine.name == name)
    wait_for(
        Expectation(
            what="the virtual machine to end by itself",
            node=name,
            look=lambda: orphan.running,
            met=lambda running: not running,
        ),
        within=30,
    )
    assert not list(directory.iterdir())
    assert name in sweep_virtual_machines()
    assert not directory.exists()
