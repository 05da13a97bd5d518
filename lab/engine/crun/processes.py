"""The processes of nodes, found by the mount of their root file system, whatever is known of them otherwise.

A process that belongs to a node has the node's root file system in its mount namespace, and the supervisor's shell has
the node's name in its arguments from the start. So also what a killed process had just started is found.
"""

import os
import re
import select
import signal
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from lab.core.errors import EnvironmentBroken
from lab.engine.crun.record import MARK, NodeDirectory

_POLL = 0.002
_ENDED_WITHIN = 30.0
"""Seconds until killed processes have ended; a loaded host may need some."""
_AT_ONCE: Final = 256
"""Processes that are killed at once, each with a descriptor: a user may have 1,024 of these."""


def is_of(pid: int, node: NodeDirectory) -> bool:
    """Return whether a process runs and belongs to a node."""
    return pid > 0 and _has(_read(pid, "mountinfo"), node.mark)


def is_runtime(pid: int) -> bool:
    """Return whether a process is one of the OCI runtime, which becomes the node's program later."""
    return _read(pid, "comm").partition(b":")[0].strip() in (b"runc", b"crun", b"")


def kill_all(nodes: Iterable[NodeDirectory]) -> None:
    """Kill all processes of nodes and wait for their end; raises `EnvironmentBroken` if one does not end."""
    marks = {node.mark.encode() for node in nodes}
    until = time.monotonic() + _ENDED_WITHIN
    while found := list(_marked(marks)):  # again, as a process may have started another one meanwhile
        for start in range(0, len(found), _AT_ONCE):
            _kill(found[start : start + _AT_ONCE], until)


def _kill(pids: Sequence[int], until: float) -> None:
    """Kill processes and wait for their end, by descriptors, which refer to a process and not to a number."""
    with ExitStack() as stack:
        ending = {}
        for pid in pids:
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                stack.callback(os.close, descriptor)
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                ending[descriptor] = pid
        for descriptor, pid in ending.items():
            waiting = select.poll()
            waiting.register(descriptor, select.POLLIN)
            if not waiting.poll(max(0.0, until - time.monotonic()) * 1000):
                raise EnvironmentBroken(f"process {pid} of a node does not end after SIGKILL: see /proc/{pid}/stack")


def stop_all(first: int) -> None:
    """Stop all processes in the mount namespace of a process, where the kernel's freezer cannot be used."""
    until = time.monotonic() + _ENDED_WITHIN
    while going := [pid for pid in _beside(first) if not _is_stopped(pid)]:
        for pid in going:
            _signal(pid, signal.SIGSTOP)
        if time.monotonic() > until:
            continue_all(first)
            raise EnvironmentBroken(f"processes do not stop: {', '.join(map(str, going))}")
        time.sleep(_POLL)


def continue_all(first: int) -> None:
    """Continue all processes in the mount namespace of a process."""
    for pid in _beside(first):
        _signal(pid, signal.SIGCONT)


def anonymous_memory(first: int) -> int:
    """Return the bytes of anonymous memory of the processes in a mount namespace (proc(5), RssAnon)."""
    total = 0
    for pid in _beside(first):
        found = re.search(rb"^RssAnon:\s+(\d+) kB", _read(pid, "status"), re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total


def _beside(first: int) -> list[int]:
    wanted = _namespace(first, "mnt")
    return [] if wanted is None else [pid for pid in _all() if _namespace(pid, "mnt") == wanted]


def _is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, or has ended."""
    state = _read(pid, "stat").rpartition(b")")[2].split()
    return not state or state[0] in (b"T", b"t", b"Z", b"X")


def _marked(marks: Collection[bytes]) -> Iterator[int]:
    own = _namespace(os.getpid(), "mnt")
    known: dict[int | None, bool] = {own: False}
    for pid in _all():
        namespace = _namespace(pid, "mnt")
        if namespace not in known:
            known[namespace] = _mentions(_read(pid, "mountinfo"), marks)
        if known[namespace] or (pid != os.getpid() and _mentions(_read(pid, "cmdline"), marks)):
            yield pid


def _mentions(text: bytes, marks: Collection[bytes]) -> bool:
    return any(mark in marks for mark in MARK.findall(text))


def _has(text: bytes, mark: str) -> bool:
    return f" {mark} ".encode() in text


def _all() -> Iterator[int]:
    return (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())


def _namespace(pid: int, kind: str) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino  # noqa: PTH116 - the link's target is not a path
    except OSError:
        return None


def _read(pid: int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
