"""Processes of `lab cluster`: a scheduler and workers on the loopback address."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

PATIENCE = 120
LOOPBACK = "127.0.0.1"


def start(*argv: str) -> "subprocess.Popen[str]":
    """Start a command of `lab cluster`."""
    return subprocess.Popen(
        [sys.executable, "-m", "lab.cli", "cluster", *argv],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(*argv: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a command of `lab cluster`, and end it."""
    with start(*argv) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


def line(process: "subprocess.Popen[str]", wanted: str) -> "re.Match[str]":
    """Wait for a line of a process's output; the process is killed if it does not come in time."""
    assert process.stderr is not None
    seen = []
    too_late = Timer(PATIENCE, process.kill)
    too_late.start()
    try:
        for text in process.stderr:
            seen.append(text)
            if found := re.search(wanted, text):
                return found
    finally:
        too_late.cancel()
    raise AssertionError(f"no line with {wanted!r} within {PATIENCE} s in {''.join(seen)}")
