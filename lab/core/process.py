"""Unique identities of processes: the id and the start time (proc(5)); process ids alone are reused."""

import os
from pathlib import Path

_DEAD = "ZXx"
"""States of a process that has ended, and whose parent has not waited for it yet (proc(5))."""


def this_process() -> str:
    """Return the identity of this process."""
    return identity_of(os.getpid())


def identity_of(pid: int) -> str:
    """Return the identity of a process of this host."""
    return f"{pid}-{_started(pid)}"


def is_alive(identity: str) -> bool:
    """Return whether the process with this identity still runs."""
    pid, _, started = identity.partition("-")
    return pid.isdigit() and started != "" and _started(int(pid)) == started


def _started(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The second field is the command in parentheses, which may contain spaces; the start time is the 22nd.
    state, *fields = text.rpartition(")")[2].split()
    return "" if state in _DEAD else fields[18]
