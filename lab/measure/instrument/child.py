"""Processes of the instrument: a small program with open files, which a control socket stops."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import lab
from lab.core.errors import EnvironmentBroken

# Started without `site`, whose import takes longer than the rest.
_START = """
import importlib, sys
sys.path.append(sys.argv[1])
importlib.import_module(sys.argv[2]).main(sys.argv[3:])
"""
_ROOT = Path(lab.__file__).parents[1]
_READY_WITHIN = 60.0
_ENDED_WITHIN = 20.0


class Child:
    """A process that reports when it is ready, and ends when its control socket closes or its parent dies."""

    def __init__(self, module: str, before: Sequence[int], after: Sequence[int]) -> None:
        """Start a module's `main` with the files `before`, its end of the control socket, the files `after`."""
        self._control, theirs = socket.socketpair()
        files = [*before, theirs.fileno(), *after]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, os.fspath(_ROOT), module, *map(str, files)],
                pass_fds=files,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C goes to the parent, which ends this process after reading its data
            )
        self._name = module.rpartition(".")[2]
        self._last_line = "no output"

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Wait until it reports that it is ready; raises `EnvironmentBroken` if it ends or does not report in time."""
        ready, _, _ = select.select([self._control], [], [], _READY_WITHIN)
        if not ready:
            self.close()
            raise EnvironmentBroken(f"the instrument's {self._name} did not start within {_READY_WITHIN:.0f} s")
        if self._control.recv(1) != b"!":
            self.stop()
            raise EnvironmentBroken(f"the instrument's {self._name} did not start: {self._last_line}")

    def stop(self) -> None:
        """Let it finish and end it; raises `EnvironmentBroken` if it failed."""
        self.close()
        if self._process.returncode:
            code = self._process.returncode
            raise EnvironmentBroken(f"the instrument's {self._name} ended with exit code {code}: {self._last_line}")

    def close(self) -> None:
        """End it in any state, and wait for its exit. Errors of a process that was not ready yet are ignored."""
        if self._control.fileno() < 0:
            return
        self._control.close()
        try:
            self._process.wait(_ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        with contextlib.suppress(ProcessLookupError):  # a process of its own that it did not wait for
            os.killpg(self._process.pid, signal.SIGKILL)
        assert self._process.stderr is not None
        with self._process.stderr as errors:
            lines = errors.read().decode(errors="replace").strip().splitlines()
        self._last_line = lines[-1] if lines else "no output"
