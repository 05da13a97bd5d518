"""The topology after reading: inherited, checked and frozen, with every default filled in.

`Node`, `Endpoint` and `Link` are containerlab's; each has the lab's own keys in `intent`.
"""

from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from lab.core.prefixes import Address, Family, Interface
from lab.topology.intent import EndpointIntent, Frozen, Impairment, LinkIntent, NodeIntent

# --- nodes -------------------------------------------------------------------------------------------------


class Healthcheck(Frozen):
    """Docker's health check; times in seconds."""

    test: tuple[str, ...] = ()
    interval: int | None = Field(default=None, ge=0)
    retries: int | None = Field(default=None, ge=0)
    timeout: int | None = Field(default=None, ge=0)
    start_period: int | None = Field(default=None, ge=0)


class Dns(Frozen):
    """Resolver settings of a node."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Node(Frozen):
    """A node after inheritance and substitution."""

    name: str
    kind: Literal["linux", "bridge", "mikrotik_ros"]
    image: str | None = None
    """None for a bridge only."""
    image_pull_policy: Literal["IfNotPresent", "Never", "Always"] = "IfNotPresent"
    group: str | None = None
    env: Mapping[str, str] = {}
    """`env-files` are merged in already, below `env`."""
    binds: tuple[str, ...] = ()
    """Each `SOURCE:DESTINATION[:OPTIONS]`; the source is absolute once `substitute` has been called."""
    exec: tuple[str, ...] = ()
    entrypoint: str | None = None
    cmd: str | None = None
    sysctls: Mapping[str, str] = {}
    cap_add: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    security_opts: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    """Each `PATH` or `PATH:OPTIONS`; in the file a mapping of path to options."""
    shm_size: str | None = None
    labels: Mapping[str, str] = {}
    cpu: float | None = Field(default=None, ge=0)
    cpu_set: str | None = None
    memory: str | None = None
    user: str | None = None
    hostname: str | None = None
    startup_delay: int = Field(default=0, ge=0)
    """Seconds to wait before the node starts."""
    dns: Dns | None = None
    healthcheck: Healthcheck | None = None
    intent: NodeIntent = NodeIntent()

    @property
    def external(self) -> bool:
        """Whether somebody else's system runs inside: the lab starts its container, lays its wires, and says what has
        to be set in it."""
        return self.kind == "mikrotik_ros"


# --- links -------------------------------------------------------------------------------------------------


class Endpoint(Frozen):
    """One end of a link."""

    node: str
    interface: str
    mac: str | None = None
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    intent: EndpointIntent = EndpointIntent()

    @property
    def addresses(self) -> tuple[Interface, ...]:
        """The addresses of both families that are set."""
        return tuple(a for a in (self.ipv4, self.ipv6) if a is not None)


DEFAULT_MTU = 9500
"""containerlab's MTU of a link that states none. The reader fills it in."""


class Link(Frozen):
    """A veth pair between two nodes, or a dummy interface on one."""

    kind: Literal["veth", "dummy"]
    endpoints: tuple[Endpoint, ...]
    mtu: int | None = None
    """None stands for the kernel's default; a link that was read from a file always has a number."""
    intent: LinkIntent = LinkIntent()

    def impairment(self, leaving: Endpoint) -> Impairment | None:
        """What is declared of the packets that leave one of its ends."""
        return leaving.intent.impair or self.intent.impair


# --- the whole ---------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where something stands in the file: lines and columns count from 1."""

    file: Path
    line: int
    column: int


class Tunnel(Frozen):
    """A tunnel between two nodes, every default filled in."""

    name: str
    server: str
    client: str
    mode: str
    transport: Literal["tcp", "udp"]
    outer: Family
    port: int
    server_outer: Address
    """The address that the client dials, on the server's side of the path."""
    client_outer: Address
    """The address that the client has on its side of the path: what the server sees, as nothing translates it."""
    server_ipv4: IPv4Interface
    client_ipv4: IPv4Interface
    server_ipv6: IPv6Interface
    client_ipv6: IPv6Interface
    device: str
    """The tunnel's interface name at the client."""
    server_device: str
    """The tunnel's interface name at the server."""
    via: str | None = None
    """The client's neighbour through which it dials, where the file says so."""
    profile: str | None = None
    """The implementation at the client's end that it is confined to, where it is not OpenVPN's own."""
    preference: int | None = None
    """The local preference of what BGP learns through the tunnel, where the file gives one."""
    shared: str | None = None
    """The name of the server's process where other tunnels may use it too, as they then do its port, its device and
    its subnet; None where the server's process is this tunnel's own and has its name."""
    options: Mapping[str, Any] = {}


class Topology(Frozen):
    """One lab, ready to be built."""

    name: str
    prefix: str | None = None
    """containerlab's: None stands for `clab`, `` for bare node names, `__lab-name` for LAB-NODE."""
    file: Path
    nodes: Mapping[str, Node]
    links: tuple[Link, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()

    def container_name(self, node: str) -> str:
        """The container's name, composed as containerlab composes it."""
        match self.prefix:
            case None:
                return f"clab-{self.name}-{node}"
            case "":
                return node
            case "__lab-name":
                return f"{self.name}-{node}"
            case prefix:
                return f"{prefix}-{self.name}-{node}"
