"""The interface of an engine: nodes, links between them, and commands inside nodes.

No module outside `lab.engine` depends on a particular engine. An engine labels its objects, and these labels are the
only record of what exists: the lab owns everything that carries them and touches nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol, Self

from lab.core.errors import CommandFailed
from lab.core.progress import Say
from lab.engine.namespace import Namespace

if TYPE_CHECKING:  # its models import pydantic, which commands that only look at nodes do without
    from lab.image.parcel import Parcel
    from lab.topology import Address, Interface, Link, Node, Prefix, Topology
    from lab.topology.model import Management

LABEL = "openvpn-routing-lab"
LABEL_LAB = f"{LABEL}.lab"
"""The lab's name."""
LABEL_NODE = f"{LABEL}.node"
"""The node's name in its topology."""
LABEL_OWNER = f"{LABEL}.owner"
"""The process that owns the lab, as named by `lab.core.process`; absent if the lab belongs to the user."""
LABEL_DIRECTORY = f"{LABEL}.directory"
"""The lab's directory on the host: rendered files, keys and logs."""
HOSTS = PurePosixPath("/etc/hosts")
"""A node's host names (hosts(5)); without a mount here the engine writes this file, and a resolv.conf."""
LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
"""The host names of a node without a network."""

NODE_SYSCTLS: Mapping[str, str] = {
    # Any user in the node may ping without a capability (icmp(7)).
    "net.ipv4.ping_group_range": "0 2147483647",
    # Any process in the node may bind a port below 1024 without a capability, as Docker has it since 20.10.
    "net.ipv4.ip_unprivileged_port_start": "0",
    # Docker disables IPv6 in a sandbox without a network.
    "net.ipv6.conf.all.disable_ipv6": "0",
    "net.ipv6.conf.default.disable_ipv6": "0",
    # A tentative link-local address (duplicate address detection) cannot solicit neighbours.
    "net.ipv6.conf.default.accept_dad": "0",
    # A new namespace inherits the host's IPv4 settings: a lab must be the same on every host.
    "net.ipv4.ip_forward": "0",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
}
"""The kernel parameters of every node, unless its role or the topology sets others."""

_RUNTIMES = frozenset({"runc", "crun"})
"""Names of the container runtime, which is a node's first process until it executes the image's program."""
_INITS = frozenset({"tini", "docker-init"})
"""Init programs, which run before it is known whether the image's program can be executed."""


class NodeState(StrEnum):
    """State of a node; an engine maps its own states to these."""

    CREATED = "created"
    """It exists and has not been started."""
    RUNNING = "running"
    PAUSED = "paused"
    """Its processes are frozen; links and addresses stay."""
    STOPPED = "stopped"
    """Its first process has ended; links and addresses are gone."""
    ABSENT = "absent"
    """The node does not exist."""


@dataclass(frozen=True)
class ExecResult:
    """Result of a command inside a node."""

    node: str
    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    @property
    def failed(self) -> bool:
        """Return whether the exit code is not 0."""
        return self.exit_code != 0

    def raise_on_error(self) -> Self:
        """Return self, or raise `CommandFailed` with the last line of the command's output."""
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
    """A node to launch: its topology entry, and the settings that its role in the lab adds."""

    lab: str
    node: "Node"
    container: str
    """The container's name."""
    directory: Path
    """The lab's directory, stored as a label."""
    owner: str = ""
    """The process that owns the lab; empty if the lab belongs to the user."""
    capabilities: tuple[str, ...] | None = None
    """All capabilities, including `Node.cap_add`; None for the engine's default set plus `Node.cap_add`."""
    devices: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    """The management network that it joins."""
    beside: str = ""
    """The container whose network namespace it shares."""
    processes_of: str = ""
    """The PID namespace it shares: `host` or `container:NAME`; empty for one of its own."""
    cgroup_namespace: str = ""
    """`private` or `host`; empty for the engine's default."""
    privileged: bool = False
    """All capabilities and devices of the host."""
    terminal: bool = False
    """Give the first process a terminal, at which a shell waits."""


@dataclass(frozen=True)
class LabNetwork:
    """An existing management network of a lab."""

    lab: str
    directory: Path
    owner: str = ""
    name: str = ""
    """Its name in the engine."""
    bridge: str = ""
    """The host's bridge interface of the network."""
    subnets: tuple[tuple[str, str], ...] = ()
    """Its subnets, each with the host's address in it."""


@dataclass(frozen=True)
class PublishedPort:
    """A port of a node that the host publishes."""

    host_ip: str
    host_port: int
    port: int
    protocol: str


@dataclass(frozen=True)
class Instance:
    """An existing node."""

    lab: str
    node: str
    container: str
    image: str
    state: NodeState
    directory: Path
    owner: str = ""
    pid: int = 0
    """Host pid of the first process; 0 if the node does not run."""
    exit_code: int | None = None
    """Exit code of the first process; None if it has not ended."""
    management: tuple[str, ...] = ()
    """Its addresses in the management network."""
    published: tuple[PublishedPort, ...] = ()
    """Its ports that the host publishes."""
    health: str | None = None
    """`starting`, `healthy` or `unhealthy`; None if its image and topology have no health check."""
    digest: str = ""
    """Digest of the image's content, which does not change when the tag moves to another image."""

    @property
    def namespace(self) -> Namespace:
        """The node's network namespace."""
        return Namespace(self.pid)

    @property
    def runs_program(self) -> bool:
        """Return whether the runtime has executed the node's program, and its first process has not ended."""
        first = Path(f"/proc/{self.pid}")
        try:
            if (first / "comm").read_text().strip().partition(":")[0] in _RUNTIMES:
                return False
            program = _program(first)
            if program not in _INITS:
                return program != ""
            children = (first / "task" / str(self.pid) / "children").read_text().split()
        except OSError:
            return False
        return bool({_program(Path(f"/proc/{child}")) for child in children} - _INITS - {""})

    @property
    def root(self) -> Path:
        """The node's root directory as a path of the host, usable for sockets; needs root."""
        return Path(f"/proc/{self.pid}/root")


def _program(process: Path) -> str:
    """Return the file name of a process's executable (proc(5)); empty if the process has ended."""
    try:
        return (process / "exe").readlink().name
    except OSError:
        return ""


class Engine(Protocol):
    """Runs nodes as processes of this host, and links between them.

    A running node has pids of the host, a network namespace that the host can enter, and a root directory that the host
    can reach (`Instance.pid`, `.namespace`, `.root`): links, captures, probes and management sockets depend on it. An
    engine on another host, or in a virtual machine of its own, cannot implement this interface.

    `NamespaceLinks` (lab/engine/links.py) implements the methods for links by netlink in those namespaces, for every
    engine. All methods raise `EnvironmentBroken` with one sentence if the engine fails.
    """

    name: str

    def version(self) -> str:
        """Return the engine's name and version for display."""

    def require_supported(self, topology: "Topology") -> None:
        """Check that this engine implements what a topology asks for, before anything of it is started.

        Raises `InputError` that names the file, the node and the key.
        """

    def provide(self, image: str, say: Say) -> str:
        """Build a missing image of the lab's own; return the reference to launch.

        Raises `EnvironmentBroken` if the build fails.
        """

    def digest_of(self, image: str) -> str:
        """Return the digest of an image that this host has, by the reference to launch; empty if it lacks it."""

    def describe_image(self, image: str) -> "Parcel":
        """Describe an image that is to be sent to another host, by the reference to launch; a missing one is pulled.

        Raises `InputError` if it cannot be pulled.
        """

    def read_image(self, parcel: "Parcel") -> Iterator[bytes]:
        """Yield the content of an image of this host."""

    def write_image(self, parcel: "Parcel", chunks: Iterable[bytes]) -> None:
        """Store an image of another host's engine, unless this one has it; `chunks` is what its `read_image` yields.

        Nothing of it is left if `chunks` raises an error. Raises `EnvironmentBroken` if the image cannot be stored.
        """

    def create_network(self, lab: str, management: "Management", directory: Path, owner: str, *, fixed: bool) -> str:
        """Create the management network of a lab and return its name.

        `fixed` is True if nodes have addresses of their own in it. Raises `InputError` if its name or subnet is taken.
        """

    def networks(self, lab: str | None = None) -> list[LabNetwork]:
        """Return the management networks of a lab, or of every lab."""

    def remove_networks(self, lab: str) -> bool:
        """Remove the networks of a lab, which no node is in any more; return whether there was one."""

    def launch(self, spec: NodeSpec) -> Instance:
        """Create and start a node with a network namespace and no links.

        Raises `InputError` if the image is missing or the name is taken. Thread-safe.
        """

    def borrow(self, container: str, lab: str, directory: Path) -> Instance:
        """Return a container that the lab did not start as a node; raises `InputError` if it does not run."""

    def find(self, lab: str | None = None) -> list[Instance]:
        """Return all nodes of a lab, or of every lab, in any state, sorted by lab and node name."""

    def exec(self, instance: Instance, argv: Sequence[str]) -> ExecResult:
        """Run a command inside a node and wait for it."""

    def spawn(self, instance: Instance, argv: Sequence[str]) -> Callable[[], bool]:
        """Start a command inside a node without waiting; return a function that tells whether it still runs."""

    def attach_argv(self, instance: Instance, argv: Sequence[str], *, tty: bool) -> list[str]:
        """Return a host command that runs `argv` inside a node on the caller's terminal."""

    def pause(self, instance: Instance) -> None:
        """Freeze all processes of a node."""

    def resume(self, instance: Instance) -> None:
        """Continue a paused node."""

    def unlock_network_parameters(self, instances: Sequence[Instance]) -> None:
        """Let the processes of nodes write /proc/sys/net, the kernel parameters of their own network namespace."""

    def output(self, instance: Instance, lines: int = 20) -> str:
        """Return the last lines that a node's first process printed."""

    def memory(self, instance: Instance) -> int:
        """Return the bytes of memory that a node's processes use, without page cache."""

    def destroy(self, instances: Sequence[Instance]) -> None:
        """Remove nodes in any state; missing ones are ignored."""

    def connect_nodes(
        self,
        nodes: "Mapping[str, Node]",
        instances: Mapping[str, Instance],
        links: "Sequence[Link]",
        routes: "Mapping[str, Sequence[tuple[Prefix, Address]]]",
    ) -> None:
        """Create links between running nodes, set their addresses, bring them up and set static routes.

        Raises `EnvironmentBroken` with the link's name if the kernel refuses one, `NotSupported` if the kernel lacks
        the kind of link.
        """

    def connect_node(
        self, name: str, nodes: "Mapping[str, Node]", instances: Mapping[str, Instance], links: "Sequence[Link]"
    ) -> None:
        """Create the links of one node, set its addresses and bring its interfaces up, before all other nodes exist.

        `instances` has those that exist. `connect_nodes` with the kernel tunnels must follow. Raises as that.
        """

    def add_addresses(self, instance: Instance, interface: str, addresses: "Sequence[Interface]") -> None:
        """Add addresses to an interface of a node; existing ones stay."""

    def remove_addresses(self, instance: Instance, interface: str, addresses: "Sequence[Interface]") -> None:
        """Remove addresses from an interface of a node; missing ones are ignored."""

    def remove_device(self, instance: Instance, device: str, *, kind: str = "") -> None:
        """Remove a network device of a node if its kind starts with `kind`; a missing one is ignored."""

    def try_device(self, instance: Instance, kind: str) -> str | None:
        """Create a network device of a kind in a node and remove it; return the kernel's error, or None."""
