"""A node that runs, as the rooms below the engine use it."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.core.errors import EnvironmentBroken
from lab.engine.base import Engine, ExecResult, Instance
from lab.engine.namespace import Namespace


@dataclass(frozen=True)
class RunningNode:
    """An engine's instance together with its engine."""

    engine: Engine
    instance: Instance

    @property
    def name(self) -> str:
        """The node's name in its topology."""
        return self.instance.node

    @property
    def namespace(self) -> Namespace:
        """The node's network namespace."""
        return self.instance.namespace

    @property
    def root(self) -> Path:
        """The node's file system, as the host sees it."""
        return self.instance.root

    @property
    def files(self) -> Path:
        """The host's directory that holds the node's rendered files and logs, by the paths they have inside."""
        return node_files(self.instance.directory, self.name)

    def exec(self, *argv: str) -> ExecResult:
        """Run a command inside and wait for it; look at the result, or `raise_on_error()`."""
        return self.engine.exec(self.instance, argv)

    def spawn(self, argv: Sequence[str]) -> Callable[[], bool]:
        """Start a command inside and do not wait for it; returns what tells whether it still runs."""
        return self.engine.spawn(self.instance, argv)

    def signal(self, pid: int, name: str) -> None:
        """Send a signal, e.g. `KILL`, to a process of the node by the id that it has there.

        It arrives at once: a `kill` in the node takes a tenth of a second. Raises `EnvironmentBroken` for a process
        that has ended.
        """
        (host_pid,) = self.host_pids([pid])
        try:
            os.kill(host_pid, signal.Signals[f"SIG{name}"])
        except ProcessLookupError as error:
            raise EnvironmentBroken(f"{self.name}: process {pid} has ended") from error

    def host_pids(self, pids: Sequence[int]) -> list[int]:
        """What the host calls processes of the node, in the same order; raises `EnvironmentBroken` if one has ended."""
        known = dict(_processes(self.instance.pid))
        if gone := [pid for pid in pids if pid not in known]:
            raise EnvironmentBroken(f"{self.name}: process {gone[0]} has ended")
        return [known[pid] for pid in pids]


def _processes(first: int) -> Iterator[tuple[int, int]]:
    """The processes in the PID namespace of a process: as they are called there, and here (pid_namespaces(7))."""
    space = os.stat(f"/proc/{first}/ns/pid").st_ino  # noqa: PTH116 - the link's target is no path
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            if os.stat(f"/proc/{entry.name}/ns/pid").st_ino != space:  # noqa: PTH116
                continue
            status = Path("/proc", entry.name, "status").read_text()
        except OSError:  # it has just ended
            continue
        inner = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1]
        yield int(inner), int(entry.name)


def node_files(directory: Path, node: str) -> Path:
    """Where a node's rendered files and logs lie in a lab's directory."""
    return directory / "nodes" / node
