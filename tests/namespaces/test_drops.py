"""The instance of tracefs in which drops are traced: it is there during a trace, and removed also after SIGKILL."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

import pytest

from lab.core.expect import Expectation, wait_for

CODE = "from lab.observe.drops import tracing\nwith tracing():\n    print('tracing', flush=True)\n    input()\n"


@pytest.fixture
def instances(tmp_path: Path) -> Iterator[Path]:
    """The directory of tracefs's instances; tracefs is mounted for the test, elsewhere than the program looks."""
    if subprocess.run(["mount", "-t", "tracefs", "none", tmp_path], capture_output=True, check=False).returncode:
        pytest.skip("tracefs: this kernel, or its lockdown, has no tracing")
    try:
        yield tmp_path / "instances"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize("end", ["killed", "ended"])
def test_trace_leaves_nothing(instances: Path, end: str) -> None:
    tracer = subprocess.Popen([sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert tracer.stdin is not None
    assert tracer.stdout is not None

    def left() -> list[Path]:
        name = f"lab-why-{tracer.pid}-*"
        return [*instances.glob(name), *Path(gettempdir()).glob(name)]

    assert tracer.stdout.readline() == b"tracing\n"
    assert left()
    if end == "killed":
        os.kill(tracer.pid, signal.SIGKILL)
    tracer.communicate(b"\n" if end == "ended" else None)
    gone = Expectation("the instance and the mount to be removed", "host", look=left, met=lambda found: not found)
    wait_for(gone, within=30)
