"""Labs that belong to a process, such as a test run, and are swept when it is gone, however it ended."""

import os
from pathlib import Path

from lab.engine import Engine
from lab.lab import Lab, destroy

_KEPT = "kept"
"""A file in a lab's directory."""
_DEAD = "ZXx"
"""Of these states only a number is left (proc(5)): nobody has asked yet how the process ended."""


def this_process() -> str:
    """A name for this process that no later process can have: its id and the time it started (proc(5))."""
    return f"{os.getpid()}-{_started(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Whether the process that a lab belongs to still runs."""
    pid, _, started = owner.partition("-")
    return pid.isdigit() and started != "" and _started(int(pid)) == started


def keep(lab: Lab) -> None:
    """Let a lab outlive its process."""
    (lab.directory / _KEPT).touch()


def sweep(engine: Engine) -> list[str]:
    """Take down the labs whose process is gone; returns their names.

    Labs without an owner, and those that somebody wants to keep, are left alone.
    """
    owned = {i.lab for i in engine.find() if i.owner and not is_alive(i.owner) and not (i.directory / _KEPT).exists()}
    orphans = sorted(owned)
    for name in orphans:
        destroy(name, engine=engine)
    return orphans


def _started(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The second field is the command in parentheses, and may hold spaces; the start time is the 22nd.
    state, *fields = text.rpartition(")")[2].split()
    return "" if state in _DEAD else fields[18]
