"""The topology after reading: inherited, checked and frozen, with every default filled in.

`Node`, `Endpoint` and `Link` are containerlab's; each has the lab's own keys in `intent`.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, NoReturn

from pydantic import Field

from lab.core.errors import InputError
from lab.core.prefixes import Address, Family, Interface
from lab.topology.intent import EndpointIntent, Frozen, Impairment, LinkIntent, NodeIntent
from lab.topology.own import OwnProcess, OwnRouter, OwnRuleset, Remark
from lab.topology.stages import Stages

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


class Credentials(Frozen):
    """A login, for inventories; the lab itself does not use it."""

    username: str | None = None
    """The user's name."""
    password: str | None = Field(default=None, repr=False)
    """The password."""
    identity_file: str | None = None
    """The file of an SSH key."""


class Certificate(Frozen):
    """A TLS certificate for programs in a node, signed by an authority of its lab's own."""

    issue: bool = False
    """Issue it: `.tls/NODE/NODE.pem` and `.key` in the lab's directory, beside `.tls/ca/ca.pem`."""
    key_size: int = Field(default=0, ge=0, le=16384)
    """The RSA key's size in bits; 0 for 2048."""
    validity_duration: str = ""
    """How long it is valid, as 720h; by default a year."""
    sans: tuple[str, ...] = ()
    """Names and addresses besides the node's own (subject alternative names, RFC 5280)."""


class CertificateAuthority(Frozen):
    """The authority of the nodes' certificates: the user's, or one that the lab makes."""

    cert: str = ""
    """The certificate's file; with `key` the user's authority signs."""
    key: str = ""
    """The private key's file."""
    key_size: int = Field(default=0, ge=0, le=16384)
    """The size of the RSA key that the lab makes, in bits; 0 for 2048."""
    validity_duration: str = ""
    """How long the authority that the lab makes is valid, as 8760h; by default a year."""


class Settings(Frozen):
    """containerlab's settings of a lab as a whole."""

    certificate_authority: CertificateAuthority = CertificateAuthority()
    """The authority of the nodes' certificates."""


BRIDGES: Final = ("bridge", "ovs-bridge")
"""The kinds of bridges."""
INSIDE: Final = "|"
"""containerlab's separator between the name of a bridge and the node in whose namespace it is."""
EXTERNAL: Final = ("mikrotik_ros", "freebsd", "openbsd")
"""The kinds of other systems, which the lab starts and links, and does not configure."""


class Node(Frozen):
    """A node after inheritance and substitution."""

    name: str
    kind: Literal["linux", "bridge", "ovs-bridge", "mikrotik_ros", "freebsd", "openbsd", "ext-container"]
    """A container, a bridge of the kernel or of Open vSwitch, a container with another system inside, or a container
    that the lab did not start."""
    image: str | None = None
    """The container's image; None for a bridge, and for a container that the lab did not start."""
    image_pull_policy: Literal["IfNotPresent", "Never", "Always"] = "IfNotPresent"
    """When to pull the image."""
    group: str | None = None
    """The group under `groups` from which the node inherits."""
    env: Mapping[str, str] = {}
    """Environment variables; those of `env-files` are included, `env` takes precedence."""
    binds: tuple[str, ...] = ()
    """Bind mounts, each `SOURCE:DESTINATION[:OPTIONS]`; sources are absolute after `substitute`."""
    volumes: tuple[str, ...] = ()
    """Docker's volumes: `NAME:DESTINATION[:OPTIONS]`, which stays after the lab, or `DESTINATION`, which does not."""
    exec: tuple[str, ...] = ()
    """Commands that run in the node after its links are up and before its daemons start."""
    entrypoint: str | None = None
    """The container's entry point, instead of the image's."""
    cmd: str | None = None
    """The container's command, instead of the image's."""
    sysctls: Mapping[str, str] = {}
    """Kernel parameters of the node's network namespace."""
    privileged: bool | None = None
    """Run the container with all privileges of the host; only `lab up --privileged` grants it. None if the file does
    not say, which containerlab takes for true."""
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
    network_mode: str = "none"
    """The network besides the links: `none`, `bridge` for the management network, `host`, or `container:NAME` for the
    network namespace of another container."""
    mgmt_ipv4: IPv4Address | None = None
    """The node's IPv4 address in the management network."""
    mgmt_ipv6: IPv6Address | None = None
    """The node's IPv6 address in the management network."""
    aliases: tuple[str, ...] = ()
    """More names of the node in the management network."""
    ports: tuple[str, ...] = ()
    """Ports to publish on the host, each as `8080:80` or `127.0.0.1:8080:80/udp`."""
    dns: Dns | None = None
    """The resolver settings."""
    healthcheck: Healthcheck | None = None
    """The health check."""
    credentials: Credentials | None = None
    """The login that inventories name."""
    stages: Stages = Stages()
    """The stages of its start: other nodes' stages to wait for, and commands to run."""
    restart_policy: Literal["no", "always", "on-failure", "unless-stopped"] = "no"
    """When Docker restarts the node. A restarted node has lost its links."""
    certificate: Certificate = Certificate()
    """A TLS certificate for programs in the node; OpenVPN's certificates are others."""
    pid_mode: str = ""
    """The PID namespace: empty for one of its own, `container:NAME` for that of another container, `host` for the
    host's, which only `lab up --privileged` grants."""
    cgroupns_mode: Literal["private", "host"] | None = None
    """The cgroup namespace, by default the engine's choice; only `lab up --privileged` grants `host`."""
    cgroup_parent: str | None = None
    """The parent of the node's cgroup, as Docker's `--cgroup-parent`. The lab does not remove it."""
    bridges: tuple[str, ...] = ()
    """The bridges in its network namespace; in the file each is a node `BRIDGE|NODE` of kind `bridge`."""
    intent: NodeIntent = NodeIntent()

    @property
    def is_bridge(self) -> bool:
        """True for a bridge, whose interfaces are its ports."""
        return self.kind in BRIDGES

    @property
    def borrowed(self) -> bool:
        """True for a container that the lab did not start, named as the node: it takes part in links, and the lab
        neither starts nor stops it."""
        return self.kind == "ext-container"

    @property
    def external(self) -> bool:
        """True for another vendor's system: the lab starts its container and connects its links, and writes the
        commands that configure it."""
        return self.kind in EXTERNAL


class Management(Frozen):
    """containerlab's management network: a Docker network to which the nodes' `eth0` belongs."""

    network: str = "clab"
    """The network's name in Docker."""
    bridge: str | None = None
    """The name of the host's bridge; by default Docker's choice."""
    ipv4_subnet: IPv4Network | Literal["auto"] | None = None
    """The IPv4 subnet; by default 172.20.20.0/24, with `auto` Docker's choice."""
    ipv4_gw: IPv4Address | None = None
    """The host's IPv4 address in the network; by default the first."""
    ipv4_range: IPv4Network | None = None
    """The part of the IPv4 subnet from which addresses are assigned."""
    ipv6_subnet: IPv6Network | Literal["auto"] | None = None
    """The IPv6 subnet; by default 3fff:172:20:20::/64, with `auto` a random one."""
    ipv6_gw: IPv6Address | None = None
    """The host's IPv6 address in the network; by default the first."""
    ipv6_range: IPv6Network | None = None
    """The part of the IPv6 subnet from which addresses are assigned."""
    mtu: int | None = Field(default=None, ge=68, le=65535)
    """The network's MTU; by default 1500."""
    external_access: bool | None = None
    """True if other hosts may reach the nodes; the lab does not open the host's firewall."""
    skip_when_unused: bool = False
    """Do not create the network if no node is in it; the lab never does."""
    driver_opts: Mapping[str, str] = {}
    """Options of Docker's bridge driver."""


# --- links -------------------------------------------------------------------------------------------------


class Endpoint(Frozen):
    """One end of a link."""

    node: str
    interface: str
    altname: str | None = None
    """The interface's name in the file, if the kernel accepts it only as an alternative one."""
    mac: str | None = None
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    bridge: str | None = None
    """The bridge in the node's namespace that the interface is a port of."""
    intent: EndpointIntent = EndpointIntent()

    @property
    def addresses(self) -> tuple[Interface, ...]:
        """Its addresses, at most one of each family."""
        return tuple(a for a in (self.ipv4, self.ipv6) if a is not None)


DEFAULT_MTU = 9500
"""containerlab's MTU of a link without `mtu`; the reader fills it in."""


class Outside(Frozen):
    """The end of a link that is not in a node but in the host's network namespace."""

    interface: str | None = None
    """The host's interface: the one to create for a link of type `host` or `mgmt-net`, else the one that exists."""
    bridge: str | None = Field(default=None, exclude=True)
    """mgmt-net: the host's bridge of the management network, known while the lab runs."""
    mode: Literal["private", "vepa", "bridge", "passthru", "source"] = "bridge"
    """macvlan: the mode."""
    remote: Address | None = None
    """vxlan: the other host's address."""
    vni: int | None = Field(default=None, ge=1, le=16777215)
    """vxlan: the network identifier."""
    dst_port: int = Field(default=14789, ge=1, le=65535)
    """vxlan: the destination UDP port."""
    src_port: int | None = Field(default=None, ge=1, le=65534)
    """vxlan: the source UDP port; by default the kernel's choice."""


class Link(Frozen):
    """A veth pair between two nodes, a dummy interface on one, or a link between one and the host's network.

    `host` is a veth pair with one end in the host's network namespace, `mgmt-net` one with an end in the management
    network's bridge, `macvlan` an interface on top of one of the host's, `vxlan` a tunnel from the host to another one,
    `vxlan-stitch` a veth pair whose other end is joined with such a tunnel.
    """

    kind: Literal["veth", "dummy", "host", "mgmt-net", "macvlan", "vxlan", "vxlan-stitch"]
    endpoints: tuple[Endpoint, ...]
    outside: Outside | None = None
    """The end in the host's network; None for a link inside the lab."""
    mtu: int | None = None
    """None for the kernel's default; a link inside the lab that was read from a file always has a number."""
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


class EndAddresses(Frozen):
    """The addresses of one end of a tunnel; None for one that the user's own files do not tell.

    A server may choose an inner address when the client connects, and a tunnel may lack a family.
    """

    outer: Address | None = None
    """Its address at its end of the path."""
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None

    @property
    def inner(self) -> tuple[Interface, ...]:
        """Its known addresses inside the tunnel."""
        return tuple(a for a in (self.ipv4, self.ipv6) if a is not None)


class Tunnel(Frozen):
    """A tunnel between two nodes, with every default filled in."""

    name: str
    server: str
    client: str
    mode: str
    transport: Literal["tcp", "udp"]
    outer: Family
    port: int
    server_at: EndAddresses
    client_at: EndAddresses
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
    own_server: str | None = None
    """The name of the server's process in `Topology.processes`, if it runs with a file of the user's."""
    own_client: str | None = None
    """The name of the client's process in `Topology.processes`, if it runs with a file of the user's."""
    shared: str | None = None
    """The name of the server process if other tunnels may share it, with its port, its device and its subnet; None if
    the process is this tunnel's own and has its name."""
    options: Mapping[str, Any] = {}

    @property
    def own(self) -> bool:
        """True if it runs with files of the user's, which need not tell all addresses."""
        return self.own_server is not None or self.own_client is not None

    @property
    def server_outer(self) -> Address:
        """The server's address at its end of the path, to which the client connects.

        This and the other addresses raise `InputError` if the user's own files do not tell them.
        """
        return self.server_at.outer or self._unknown("outer", self.server)

    @property
    def client_outer(self) -> Address:
        """The client's address at its end of the path, which the server sees unless a NAT is between."""
        return self.client_at.outer or self._unknown("outer", self.client)

    @property
    def server_ipv4(self) -> IPv4Interface:
        """The server's inner IPv4 address."""
        return self.server_at.ipv4 or self._unknown("inner IPv4", self.server)

    @property
    def client_ipv4(self) -> IPv4Interface:
        """The client's inner IPv4 address."""
        return self.client_at.ipv4 or self._unknown("inner IPv4", self.client)

    @property
    def server_ipv6(self) -> IPv6Interface:
        """The server's inner IPv6 address."""
        return self.server_at.ipv6 or self._unknown("inner IPv6", self.server)

    @property
    def client_ipv6(self) -> IPv6Interface:
        """The client's inner IPv6 address."""
        return self.client_at.ipv6 or self._unknown("inner IPv6", self.client)

    def _unknown(self, kind: str, node: str) -> NoReturn:
        raise InputError(
            f"the {kind} address of {node} in the tunnel {self.name} is not known: its files do not set it"
        )


class Topology(Frozen):
    """A topology, ready to be deployed."""

    name: str
    prefix: str | None = None
    """The prefix of container names: None means `clab`, an empty one NODE alone, `__lab-name` LAB-NODE."""
    file: Path
    nodes: Mapping[str, Node]
    management: Management | None = None
    """The management network, if the file or the command line asks for it."""
    settings: Settings = Settings()
    """containerlab's settings of the lab as a whole."""
    links: tuple[Link, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()
    processes: tuple[OwnProcess, ...] = ()
    """The OpenVPN processes that run with files of the user's."""
    own_routers: Mapping[str, OwnRouter] = {}
    """The routing daemons that run with files of the user's, by node."""
    rulesets: tuple[OwnRuleset, ...] = ()
    """The packet filters of the user's, each loaded in its node."""
    remarks: tuple[Remark, ...] = ()
    """Differences in the lab from the user's files, and facts that the lab cannot know from them."""
    run_scripts: bool = False
    """Run the scripts that the user's files name, in their nodes; else stubs log their calls."""
    privileged: bool = False
    """Grant the nodes of images that are not the lab's all privileges, as containerlab does."""
    own_at: Mapping[str, tuple[Place, ...]] = Field(default={}, repr=False)
    """The places in the file of the items of a node's `openvpn`, by node."""
    extra_at: Mapping[str, tuple[str, ...]] = Field(default={}, repr=False)
    """The place in the file of each line of a router's `extra`, by `NODE`, or by `NODE NEIGHBOUR` for a neighbour's."""

    @property
    def ending(self) -> frozenset[str]:
        """The nodes that end by themselves, for which other nodes wait."""
        waits = [wait for node in self.nodes.values() for wait in node.stages.waits()]
        return frozenset(wait.node for wait in waits if wait.stage == "exit")

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
