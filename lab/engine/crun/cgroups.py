"""Control groups of nodes (cgroups(7)), version 1 and 2: limits, the freezer, memory. A user may have none.

Each node has the group `/openvpn-routing-lab/CONTAINER` in every hierarchy that this process may write, created by the
runtime.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab.core.errors import EnvironmentBroken

_PARENT = "openvpn-routing-lab"
_POLL = 0.002
_FROZEN_WITHIN = 30.0
"""Seconds until all processes of a group are frozen."""
_EMPTY_WITHIN = 30.0
"""Seconds until the kernel has left a group whose processes were killed."""


@dataclass(frozen=True)
class Hierarchy:
    """A mounted hierarchy that this process may write."""

    path: Path
    version: int
    controllers: frozenset[str]


def hierarchies() -> tuple[Hierarchy, ...]:
    """Return the hierarchies with controllers that this process may write; empty for most users.

    In hybrid mode these are of version 1.
    """
    found = _writable()
    return tuple(h for h in found if h.version == 1) or found[:1]


@cache
def _writable() -> tuple[Hierarchy, ...]:
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, path, kind, options, *_ = line.split()
        if kind not in ("cgroup", "cgroup2") or not os.access(path, os.W_OK) or "ro" in options.split(","):
            continue
        if kind == "cgroup":
            found.append(Hierarchy(Path(path), 1, frozenset(options.split(","))))
        else:
            found.append(Hierarchy(Path(path), 2, frozenset(Path(path, "cgroup.controllers").read_text().split())))
    return tuple(found)


def has(controller: str) -> bool:
    """Return whether groups can limit what a controller controls: `cpu`, `cpuset`, `memory`."""
    return any(controller in hierarchy.controllers for hierarchy in hierarchies())


def path_of(group: str) -> str | None:
    """Return the path of a node's group for the runtime; None without groups."""
    return f"/{_PARENT}/{group}" if hierarchies() else None


def entries(group: str) -> list[str]:
    """Return the files through which a process enters a node's groups."""
    directories = [hierarchy.path / _PARENT / group for hierarchy in hierarchies()]
    return [str(directory / "cgroup.procs") for directory in directories if directory.exists()]


def can_freeze() -> bool:
    """Return whether groups can be frozen."""
    return _freezer("") is not None


def freeze(group: str) -> None:
    """Freeze the processes of a node; raises `EnvironmentBroken` if the kernel does not freeze them in time."""
    version, directory = _found_freezer(group)
    until = time.monotonic() + _FROZEN_WITHIN
    while True:
        if version == 1:
            (directory / "freezer.state").write_text("FROZEN")  # again, as it may miss new processes
            frozen = (directory / "freezer.state").read_text().strip() == "FROZEN"
        else:
            (directory / "cgroup.freeze").write_text("1")
            frozen = "frozen 1" in (directory / "cgroup.events").read_text()
        if frozen:
            return
        if time.monotonic() > until:
            thaw(group)
            raise EnvironmentBroken(f"the kernel did not freeze the processes in {directory}")
        time.sleep(_POLL)


def thaw(group: str) -> None:
    """Continue the processes of a node; a missing group is ignored."""
    found = _freezer(group)
    if found is not None:
        version, directory = found
        with suppress(FileNotFoundError):
            (directory / ("freezer.state" if version == 1 else "cgroup.freeze")).write_text(
                "THAWED" if version == 1 else "0"
            )


def anonymous_memory(group: str) -> int | None:
    """Return the bytes of anonymous memory of a node's group; None if it has no group."""
    for hierarchy in hierarchies():
        if "memory" in hierarchy.controllers:
            try:
                text = (hierarchy.path / _PARENT / group / "memory.stat").read_text()
            except OSError:
                continue
            stats = dict(line.split() for line in text.splitlines())
            return int(stats["total_rss" if hierarchy.version == 1 else "anon"])
    return None


def remove(group: str) -> None:
    """Remove the groups of a node without processes, and the lab's own when they are empty."""
    until = time.monotonic() + _EMPTY_WITHIN
    for hierarchy in _writable():  # some runtimes make groups of both versions
        directory = hierarchy.path / _PARENT / group
        while directory.exists():
            for below in sorted(directory.rglob("*/"), reverse=True):
                with suppress(OSError):
                    below.rmdir()
            try:
                directory.rmdir()
            except FileNotFoundError:
                break
            except OSError as error:  # the kernel has yet to release processes that have ended
                if time.monotonic() > until:
                    raise EnvironmentBroken(
                        f"the control group {directory} cannot be removed: {error.strerror}"
                    ) from error
                time.sleep(_POLL)
        with suppress(OSError):  # it has other groups
            directory.parent.rmdir()


def _freezer(group: str) -> tuple[int, Path] | None:
    for hierarchy in hierarchies():
        if hierarchy.version == 2 or "freezer" in hierarchy.controllers:
            return hierarchy.version, hierarchy.path / _PARENT / group
    return None


def _found_freezer(group: str) -> tuple[int, Path]:
    found = _freezer(group)
    assert found is not None
    return found
