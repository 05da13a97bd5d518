"""A name for a process that no later process can have."""

import os
from pathlib import Path

_DEAD = "ZXx"
"""Of these states only a number is left (proc(5)): nobody has asked yet how the process ended."""


def this_process() -> str:
    """A name for this process that no later process can have: its id and the time it started (proc(5))."""
    return f"{os.getpid()}-{_started(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Whether the process that a lab belongs to still runs."""
    pid, _, started = owner.partition("-")
    return pid.isdigit() and started != "" and _started(int(pid)) == started


def _started(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The second field is the command in parentheses, and may hold spaces; the start time is the 22nd.
    state, *fields = text.rpartition(")")[2].split()
    return "" if state in _DEAD else fields[18]
