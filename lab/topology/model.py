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
    """Docker's health check."""

    test: tuple[str, ...] = ()
    """The command, as `[CMD, program, argument]` or `[CMD-SHELL, command]`."""
    interval: int | None = Field(default=None, ge=0)
    """Seconds between checks."""
    retries: int | None = Field(default=None, ge=0)
    """Failures in a row until the node is unhealthy."""
    timeout: int | None = Field(default=None, ge=0)
    """Seconds until a check fails."""
    start_period: int | None = Field(default=None, ge=0)
    """Seconds after the start in which failures do not count."""


class Dns(Frozen):
    """The resolver settings of a node (resolv.conf)."""

    servers: tuple[str, ...] = ()
    """The addresses of name servers."""
    search: tuple[str, ...] = ()
    """The search domains."""
    options: tuple[str, ...] = ()
    """The resolver's options."""


class Node(Frozen):
    """A node after inheritance and substitution."""

    name: str
    kind: Literal["linux", "bridge", "mikrotik_ros"]
    """A container, a bridge, or a container with RouterOS inside."""
    image: str | None = None
    """The container's image; None for a bridge only."""
    image_pull_policy: Literal["IfNotPresent", "Never", "Always"] = "IfNotPresent"
    """When to pull the image."""
    group: str | None = None
    """The group under `groups` from which the node inherits."""
    env: Mapping[str, str] = {}
    """Environment variables; those of `env-files` are included, `env` takes precedence."""
    binds: tuple[str, ...] = ()
    """Bind mounts, each `SOURCE:DESTINATION[:OPTIONS]`; sources are absolute after `substitute`."""
    exec: tuple[str, ...] = ()
    """Commands that run in the node after its links are up and before its daemons start."""
    entrypoint: str | None = None
    """The container's entry point, instead of the image's."""
    cmd: str | None = None
    """The container's command, instead of the image's."""
    sysctls: Mapping[str, str] = {}
    """Kernel parameters of the node's network namespace."""
    cap_add: tuple[str, ...] = ()
    """Capabilities besides those that the lab gives to its nodes."""
    devices: tuple[str, ...] = ()
    """Devices of the host that the container may use."""
    security_opts: tuple[str, ...] = ()
    """Docker's security options."""
    tmpfs: tuple[str, ...] = ()
    """File systems in memory, each `PATH` or `PATH:OPTIONS`; in the file a mapping of paths to options."""
    shm_size: str | None = None
    """The size of /dev/shm, as 64MB."""
    labels: Mapping[str, str] = {}
    """The container's labels."""
    cpu: float | None = Field(default=None, ge=0)
    """The number of CPUs that the node may use, as 0.5."""
    cpu_set: str | None = None
    """The CPUs that the node may use, as 0-1."""
    memory: str | None = None
    """The memory limit, as 512MB."""
    user: str | None = None
    """The user of the container's processes."""
    hostname: str | None = None
    """The host name; by default the node's name."""
    startup_delay: int = Field(default=0, ge=0)
    """Seconds to wait before the node starts."""
    dns: Dns | None = None
    """The resolver settings."""
    healthcheck: Healthcheck | None = None
    """The health check."""
    intent: NodeIntent = NodeIntent()

    @property
    def external(self) -> bool:
        """True for another vendor's system: the lab starts its container and connects its links, and writes the
        commands that configure it."""
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
        """Its addresses, at most one of each family."""
        return tuple(a for a in (self.ipv4, self.ipv6) if a is not None)


DEFAULT_MTU = 9500
"""containerlab's MTU of a link without `mtu`; the reader fills it in."""


class Link(Frozen):
    """A veth pair between two nodes, or a dummy interface on one."""

    kind: Literal["veth", "dummy"]
    endpoints: tuple[Endpoint, ...]
    mtu: int | None = None
    """None for the kernel's default; a link that was read from a file always has a number."""
    intent: LinkIntent = LinkIntent()

    def impairment(self, leaving: Endpoint) -> Impairment | None:
        """Return the declared impairment of packets that leave one of its ends."""
        return leaving.intent.impair or self.intent.impair


# --- the topology ------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """A place in a file; lines and columns count from 1."""

    file: Path
    line: int
    column: int


class Tunnel(Frozen):
    """A tunnel between two nodes, with every default filled in."""

    name: str
    server: str
    client: str
    mode: str
    transport: Literal["tcp", "udp"]
    outer: Family
    port: int
    server_outer: Address
    """The server's address at its end of the path, to which the client connects."""
    client_outer: Address
    """The client's address at its end of the path, which the server sees unless a NAT is between."""
    server_ipv4: IPv4Interface
    client_ipv4: IPv4Interface
    server_ipv6: IPv6Interface
    client_ipv6: IPv6Interface
    device: str
    """The client's interface."""
    server_device: str
    """The server's interface."""
    extra_at: Mapping[Literal["server", "client"], tuple[str, ...]] = Field(default={}, repr=False)
    """The place in the file of each line of the option `extra`, by end."""
    via: str | None = None
    """The client's neighbour on the path to the server, if the file sets it."""
    profile: str | None = None
    """The other implementation of OpenVPN at the client's end, if there is one."""
    preference: int | None = None
    """The local preference of routes that BGP learns through the tunnel, if the file sets it."""
    shared: str | None = None
    """The name of the server process if other tunnels may share it, with its port, its device and its subnet; None if
    the process is this tunnel's own and has its name."""
    options: Mapping[str, Any] = {}


class Topology(Frozen):
    """A topology, ready to be deployed."""

    name: str
    prefix: str | None = None
    """The prefix of container names: None means `clab`, an empty one NODE alone, `__lab-name` LAB-NODE."""
    file: Path
    nodes: Mapping[str, Node]
    links: tuple[Link, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()
    extra_at: Mapping[str, tuple[str, ...]] = Field(default={}, repr=False)
    """The place in the file of each line of a router's `extra`, by `NODE`, or by `NODE NEIGHBOUR` for a neighbour's."""

    def container_name(self, node: str) -> str:
        """Return the name of a node's container, as in containerlab."""
        match self.prefix:
            case None:
                return f"clab-{self.name}-{node}"
            case "":
                return node
            case "__lab-name":
                return f"{self.name}-{node}"
            case prefix:
                return f"{prefix}-{self.name}-{node}"
