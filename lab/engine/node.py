"""A running node: its instance together with its engine."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.core.errors import EnvironmentBroken
from lab.core.event_times import EventTimes
from lab.engine.base import Engine, ExecResult, Instance
from lab.engine.namespace import Namespace
from lab.topology import Interface


@dataclass(frozen=True)
class RunningNode:
    """A running node."""

    engine: Engine
    instance: Instance
    event_times: EventTimes = field(default_factory=EventTimes, compare=False)
    """The lab's event times; each operation that changes this node records its time here."""

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
        """The node's root directory as a path of the host."""
        return self.instance.root

    @property
    def files(self) -> Path:
        """The host's directory of the node's rendered files and logs, laid out by their paths inside the node."""
        return node_files(self.instance.directory, self.name)

    def exec(self, *argv: str) -> ExecResult:
        """Run a command inside and wait for it; check the result or call `raise_on_error()`."""
        return self.engine.exec(self.instance, argv)

    def spawn(self, argv: Sequence[str]) -> Callable[[], bool]:
        """Start a command inside without waiting; return a function that says whether it still runs."""
        return self.engine.spawn(self.instance, argv)

    def add_addresses(self, interface: str, addresses: Sequence[Interface]) -> None:
        """Add addresses to an interface; existing ones stay."""
        self.engine.add_addresses(self.instance, interface, addresses)

    def remove_addresses(self, interface: str, addresses: Sequence[Interface]) -> None:
        """Remove addresses from an interface; missing ones are ignored."""
        self.engine.remove_addresses(self.instance, interface, addresses)

    def remove_device(self, device: str, *, kind: str = "") -> None:
        """Remove a network device if its kind starts with `kind`; a missing one is ignored."""
        self.engine.remove_device(self.instance, device, kind=kind)

    def try_device(self, kind: str) -> str | None:
        """Create a network device of a kind and remove it; return the kernel's error, or None."""
        return self.engine.try_device(self.instance, kind)

    def signal(self, pid: int, name: str) -> None:
        """Send a signal, e.g. `KILL`, to a process by its pid inside the node.

        Sent from the host, because a `kill` inside the node takes a tenth of a second. Raises `EnvironmentBroken` if
        the process has ended.
        """
        (host_pid,) = self.host_pids([pid])
        try:
            os.kill(host_pid, signal.Signals[f"SIG{name}"])
        except ProcessLookupError as error:
            raise EnvironmentBroken(f"{self.name}: process {pid} has ended") from error

    def find_process(self, argv: Sequence[str]) -> int | None:
        """Return the host's pid of a process of the node whose command begins with `argv`; None if there is none."""
        wanted = b"".join(os.fsencode(word) + b"\0" for word in argv)
        for _, pid in _processes(self.instance.pid):
            try:
                if Path("/proc", str(pid), "cmdline").read_bytes().startswith(wanted):
                    return pid
            except OSError:  # it has just ended
                continue
        return None

    def host_pids(self, pids: Sequence[int]) -> list[int]:
        """Translate pids of the node into pids of the host; raises `EnvironmentBroken` if a process has ended."""
        known = dict(_processes(self.instance.pid))
        if gone := [pid for pid in pids if pid not in known]:
            raise EnvironmentBroken(f"{self.name}: process {gone[0]} has ended")
        return [known[pid] for pid in pids]


def _processes(first: int) -> Iterator[tuple[int, int]]:
    """Yield the inner and the host pid of each process in the PID namespace of `first` (pid_namespaces(7))."""
    inode = os.stat(f"/proc/{first}/ns/pid").st_ino  # noqa: PTH116 - the link's target is not a path
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            if os.stat(f"/proc/{entry.name}/ns/pid").st_ino != inode:  # noqa: PTH116
                continue
            status = Path("/proc", entry.name, "status").read_text()
        except OSError:  # it has just ended
            continue
        inner = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1]
        yield int(inner), int(entry.name)


def node_files(directory: Path, node: str) -> Path:
    """Return the directory of a node's rendered files and logs below a lab's directory."""
    return directory / "nodes" / node
