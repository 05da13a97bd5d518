"""The health check of a node, as Docker makes it, by a process beside the node that ends with it.

This process is `python -m lab.engine.crun.health DIRECTORY MARK`. By the mark, which it does not read, it is found as
one of the node's processes (`lab.engine.crun.processes`) and removed with them. The state is in a file that every
process of the lab can read.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.core.errors import EnvironmentBroken
from lab.engine.crun.commands import Commands
from lab.engine.crun.record import NodeDirectory

if TYPE_CHECKING:
    from lab.image.store import ImageConfig
    from lab.topology import Node

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
"""Docker's names of the states."""
_INTERVAL = _TIMEOUT = 30.0
_RETRIES = 3
"""Docker's defaults."""
_SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True)
class Check:
    """A health check; times are in seconds."""

    argv: Sequence[str]
    interval: float
    """From the node's start to the first check, and from the end of one to the next."""
    timeout: float
    """After which a check has failed, and its processes are killed."""
    start_period: float
    """After the node's start, in which failures do not count until a check succeeds."""
    retries: int
    """Failures in a row that make the node unhealthy."""


@dataclass
class Health:
    """The state of a node that its checks lead to."""

    check: Check
    state: str = STARTING
    failures: int = 0
    """In a row."""

    def note(self, *, passed: bool, age: float) -> str:
        """Note the result of a check that began `age` seconds after the node's start; return the state."""
        if passed:
            self.state, self.failures = HEALTHY, 0
        elif self.state != STARTING or age >= self.check.start_period:
            self.failures += 1
            if self.failures >= self.check.retries:
                self.state = UNHEALTHY
        return self.state


def check_of(node: "Node", image: "ImageConfig") -> Check | None:
    """Return the check of a node: what its topology sets, the image's for the rest, Docker's defaults for that."""
    own, others = node.healthcheck, image.healthcheck
    test = (own.test if own else ()) or (others.test if others else ())
    if not test or test[0] not in ("CMD", "CMD-SHELL") or len(test) == 1:
        return None

    def first(key: str, default: float) -> float:
        # 0 is the same as nothing, for Docker too.
        return getattr(own, key, None) or getattr(others, key, None) or default

    return Check(
        argv=test[1:] if test[0] == "CMD" else (*_SHELL, test[1]),
        interval=first("interval", _INTERVAL),
        timeout=first("timeout", _TIMEOUT),
        start_period=first("start_period", 0),
        retries=int(first("retries", _RETRIES)),
    )


def start(node: NodeDirectory) -> None:
    """Start to check a running node that has a check."""
    with (node.path / "health.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(node.path), node.mark],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def watch(node: NodeDirectory) -> None:
    """Check a node until it ends."""
    check = Check(**json.loads(node.check.read_text()))
    health, commands, began = Health(check), Commands(), time.monotonic()
    try:
        first = os.pidfd_open(node.pid)
        while not select.select([first], [], [], check.interval)[0]:
            if node.paused.exists():
                continue
            age = time.monotonic() - began
            passed = commands.succeeds(node.container, node, node.pid, check.argv, check.timeout)
            _write(node, health.note(passed=passed, age=age))
    except (ProcessLookupError, EnvironmentBroken):  # it has ended in the meantime
        pass
    _write(node, UNHEALTHY)


def _write(node: NodeDirectory, state: str) -> None:
    new = node.health.with_suffix(".new")
    with suppress(OSError):  # the node is being removed, or the disk is full and the next check may be noted
        new.write_text(state)
        new.rename(node.health)


if __name__ == "__main__":
    watch(NodeDirectory(Path(sys.argv[1])))
