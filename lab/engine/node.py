"""A node that runs, as the rooms below the engine use it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
        """Send a signal, e.g. `KILL`, to a process of the node by the id that it has there."""
        self.exec("kill", "-s", name, str(pid)).raise_on_error()


def node_files(directory: Path, node: str) -> Path:
    """Where a node's rendered files and logs lie in a lab's directory."""
    return directory / "nodes" / node
