"""What the lab asks of an engine: nodes that run, wires between them, commands inside.

Nothing outside this room knows which engine it is. An engine's objects carry labels, and the labels are the only
truth about what exists: whatever the lab finds by them is its own, and it touches nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Protocol, Self

from lab.core.errors import CommandFailed
from lab.engine.namespace import Namespace
from lab.topology import Node

LABEL = "openvpn-routing-lab"
LABEL_LAB = f"{LABEL}.lab"
"""The lab's name."""
LABEL_NODE = f"{LABEL}.node"
"""The node's name in its topology."""
LABEL_OWNER = f"{LABEL}.owner"
"""The process that the lab belongs to, as `lab.runtime.owner` names it; absent where it belongs to the user."""
LABEL_DIRECTORY = f"{LABEL}.directory"
"""The lab's directory on the host: rendered files, keys and logs."""
HOSTS = PurePosixPath("/etc/hosts")
"""The names that a node knows (hosts(5)); without a mount there the engine makes them, and a resolv.conf."""

_RUNTIMES = frozenset({"runc", "crun"})
"""Who a node's first process is until it becomes the image's program."""
_INITS = frozenset({"tini", "docker-init"})
"""Programs that only start another one, which they cannot know to exist before."""


class NodeState(StrEnum):
    """Every state that a node can be in; an engine maps its own states to these."""

    CREATED = "created"
    """It exists and was never started."""
    RUNNING = "running"
    PAUSED = "paused"
    """Its processes are frozen; wires and addresses stay."""
    STOPPED = "stopped"
    """Its first process ended; wires and addresses are gone."""
    ABSENT = "absent"
    """There is no such node."""


@dataclass(frozen=True)
class ExecResult:
    """How a command inside a node ended."""

    node: str
    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    @property
    def failed(self) -> bool:
        """True where the exit code is not 0."""
        return self.exit_code != 0

    def raise_on_error(self) -> Self:
        """Return itself, or raise `CommandFailed` with the command's last words."""
        if self.failed:
            words = (self.stderr.strip() or self.stdout.strip() or "no output").splitlines()[-1]
            raise CommandFailed(f"{self.node}: `{' '.join(self.argv)}` ended with {self.exit_code}: {words}")
        return self


@dataclass(frozen=True)
class Mount:
    """A directory or file of the host inside a node."""

    source: Path
    target: PurePosixPath
    read_only: bool = True


@dataclass(frozen=True)
class NodeSpec:
    """A node to launch, and what its part in the lab requires beyond what its topology says."""

    lab: str
    node: Node
    container: str
    """The engine's name for it."""
    directory: Path
    """The lab's directory, kept as a label."""
    owner: str = ""
    """The process that the lab ends with; empty where it belongs to the user."""
    capabilities: tuple[str, ...] | None = None
    """All that it gets, `Node.cap_add` included; None stands for the engine's default set and `Node.cap_add`."""
    devices: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Instance:
    """A node that exists."""

    lab: str
    node: str
    container: str
    image: str
    state: NodeState
    directory: Path
    owner: str = ""
    pid: int = 0
    """The first process, as the host counts; 0 where none runs."""
    exit_code: int | None = None
    """How the first process ended; None where it did not."""

    @property
    def namespace(self) -> Namespace:
        """The node's network namespace."""
        return Namespace(self.pid)

    @property
    def starting(self) -> bool:
        """True where it is yet to be seen whether the node's program can run; False where no process is left."""
        first = Path(f"/proc/{self.pid}")
        try:
            if (first / "comm").read_text().strip().partition(":")[0] in _RUNTIMES:
                return True
            if _program(first) not in _INITS:
                return False
            children = (first / "task" / str(self.pid) / "children").read_text().split()
        except OSError:
            return False
        return not {_program(Path(f"/proc/{child}")) for child in children} - _INITS - {""}

    @property
    def root(self) -> Path:
        """The node's file system as the host sees it, good for sockets; needs root."""
        return Path(f"/proc/{self.pid}/root")


def _program(process: Path) -> str:
    """The name of the file that a process runs, as proc(5) tells; empty where it has ended."""
    try:
        return (process / "exe").readlink().name
    except OSError:
        return ""


class Engine(Protocol):
    """Runs nodes. Every method raises `EnvironmentBroken` where the engine fails, in one line."""

    name: str

    def version(self) -> str:
        """The engine and its version, in words."""

    def digest(self, image: str) -> str:
        """The engine's digest of an image, which no other content has."""

    def provide(self, image: str, say: Callable[[str], None]) -> str:
        """Make sure of an image before a node needs it: build one of the lab's own where it is missing.

        Returns the reference to launch. Raises `EnvironmentBroken` where it cannot be built.
        """

    def launch(self, spec: NodeSpec) -> Instance:
        """Create and start a node that has a namespace, and no wire yet.

        Raises `InputError` where the image is missing or the name is taken. Safe to call from several threads.
        """

    def find(self, lab: str | None = None) -> list[Instance]:
        """All nodes of a lab, or of every lab, whatever their state, in the order of their names."""

    def exec(self, instance: Instance, argv: Sequence[str]) -> ExecResult:
        """Run a command inside a node and wait for it."""

    def spawn(self, instance: Instance, argv: Sequence[str]) -> Callable[[], bool]:
        """Start a command inside a node and do not wait for it; returns what tells whether it still runs."""

    def attach_argv(self, instance: Instance, argv: Sequence[str], *, tty: bool) -> list[str]:
        """A command for the host's shell that runs `argv` inside a node on the caller's terminal."""

    def pause(self, instance: Instance) -> None:
        """Freeze all processes of a node."""

    def resume(self, instance: Instance) -> None:
        """Let a paused node go on."""

    def output(self, instance: Instance, lines: int = 20) -> str:
        """The last lines that a node's first process printed."""

    def memory(self, instance: Instance) -> int:
        """What the processes of a node occupy, in bytes, without the kernel's page cache."""

    def destroy(self, instances: Sequence[Instance]) -> None:
        """Remove nodes at once, in whatever state they are; those that are gone already are no error."""
