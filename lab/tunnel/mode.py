"""The interface of a tunnel mode, one way to run OpenVPN between two nodes, and the registry of modes.

A mode declares its properties, checks the options that a topology gives it, and renders the files of both ends. The
lab finds modes by the entry point group `openvpn_routing_lab.tunnel_modes`: each is a package of its own, of this
distribution or of another.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self, runtime_checkable

from lab.core.files import RenderedFile
from lab.core.plugins import Plugins
from lab.core.prefixes import FAMILIES
from lab.topology import Family, Objection, TrafficClass, Tunnel, TunnelIntent
from lab.topology.own import OwnProcess

if TYPE_CHECKING:
    from lab.tunnel.pki import Authority, Credentials

GROUP: Final = "openvpn_routing_lab.tunnel_modes"
"""The entry points that name modes."""

End = Literal["server", "client"]
CONFIGURATION = PurePosixPath("/etc/openvpn")
"""The directory of the tunnels' files, in a node as on a Debian host."""
LOGS = PurePosixPath("/var/log/openvpn")
SOCKETS = PurePosixPath("/run/openvpn")


@dataclass(frozen=True)
class Identity:
    """The certificates and keys with which a tunnel's two ends authenticate each other."""

    authority: str
    """The authority's certificate, as PEM."""
    revoked: str
    """The authority's list of revoked certificates, as PEM."""
    server: "Credentials"
    client: "Credentials"
    secret: bytes
    """The keys that both ends share are derived from it. It is the same at each rendering and for all tunnels of a
    server, so that these keys need not be stored."""

    @classmethod
    def issue(cls, tunnel: Tunnel, authority: "Authority") -> "Identity":
        """Make new keys and certificates for both ends, each named after its node."""
        from lab.tunnel.keyfiles import derive_key

        ends = processes(tunnel)
        return cls(
            authority=authority.certificate,
            revoked=authority.revocation_list(),
            server=authority.issue(tunnel.server, "server"),
            client=authority.issue(tunnel.client, "client"),
            secret=derive_key(authority.key.encode(), f"tunnel {ends['server'].tunnel}", 32),
        )


@dataclass(frozen=True)
class Process:
    """One OpenVPN process and the paths of its files in its node."""

    tunnel: str
    """The tunnel's name; of a server that tunnels share, the name of the shared server; of a process with a file of the
    user's, the name of the process."""
    end: End
    node: str
    own: OwnProcess | None = field(default=None, compare=False)
    """The process of the topology that runs with a file of the user's, if it is one."""

    @classmethod
    def of(cls, own: OwnProcess) -> Self:
        """Return the process that runs with a file of the user's."""
        return cls(own.name, "server" if own.listens else "client", own.node, own)

    @property
    def directory(self) -> PurePosixPath:
        """The working directory, which Debian's units `openvpn-server@` and `openvpn-client@` set."""
        return self.own.directory if self.own else CONFIGURATION / self.end

    @property
    def configuration(self) -> PurePosixPath:
        """The configuration file."""
        return self.own.path if self.own else self.directory / f"{self.tunnel}.conf"

    @property
    def files(self) -> PurePosixPath:
        """Keys, certificates and scripts of this process alone."""
        return self.directory / self.tunnel

    @property
    def log(self) -> PurePosixPath:
        """OpenVPN's log."""
        return LOGS / (f"{self.own.name}.log" if self.own else f"{self.tunnel}.{self.end}.log")

    @property
    def socket(self) -> PurePosixPath:
        """The management interface's Unix socket; of a process with a file of the user's, see its model."""
        if self.own and self.own.management:
            return self.own.management
        return SOCKETS / (f"{self.own.name}.sock" if self.own else f"{self.tunnel}.{self.end}.sock")

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that runs the process in the foreground."""
        return (
            "openvpn",
            *("--cd", str(self.directory)),
            # Before the configuration, so that its errors are logged too.
            *("--log-append", str(self.log)),
            *(self.own.before if self.own else ()),
            *("--config", str(self.configuration)),
            *(self.own.arguments if self.own else ()),
        )


def processes(tunnel: Tunnel, own: Iterable[OwnProcess] = ()) -> Mapping[End, Process]:
    """Return both processes of a tunnel; `own` are the topology's processes with files of the user's."""
    known = {process.name: Process.of(process) for process in own}
    server, client = known.get(tunnel.own_server or ""), known.get(tunnel.own_client or "")
    return {
        "server": replace(server, end="server")
        if server
        else Process(tunnel.shared or tunnel.name, "server", tunnel.server),
        "client": replace(client, end="client") if client else Process(tunnel.name, "client", tunnel.client),
    }


@dataclass(frozen=True)
class Traits:
    """The properties of a mode: what it needs and what it forwards."""

    device: Literal["tun", "tap"] = "tun"
    mode_server: bool = True
    """OpenVPN's `mode server`: the server is ready before its first client connects, and keeps a list of clients.
    Without it (point to point) an end is connected when the other end is."""
    needs_iroute: bool = False
    """The server forwards only to networks with an `iroute` entry, besides the tunnel's own addresses."""
    clients_per_process: int | None = 1
    """The number of clients that a server process takes; None for any number."""
    clients_routed_for: int | None = None
    """The number of these clients whose traffic passes at the same time; None for all."""
    families: tuple[Family, ...] = FAMILIES
    """The families in which any prefix passes that a routing daemon announces, also while the tunnel is up."""
    multicast: tuple[Family, ...] = FAMILIES
    """The families in which packets to link-local groups pass both ways, as OSPF and RIP need; those of IPv6 come from
    link-local addresses."""
    mtu: int = 1500
    """Bytes of the largest IP packet that passes in one piece, in either family."""
    certificates: bool = True
    """The ends authenticate each other by certificates; else by a key that both have."""
    openvpn: tuple[str, ...] = ("2.6", "2.7")
    """The versions of OpenVPN that can run it."""
    kernel: str | None = None
    """The kind of device that the kernel must support; None if the mode needs none."""
    net30: bool = False
    """The server hands out a pair of addresses (`topology net30`) unless the option `topology` is `subnet`."""
    foreign_client: bool = False
    """Another implementation of OpenVPN can be the client: it always asks for its addresses (`pull`), and supports
    only the options of its profile (`lab.tunnel.profile`)."""
    deprecated: str = ""
    """The reason why the mode is deprecated; empty if it is not."""


@runtime_checkable
class TunnelMode(Protocol):
    """One way to run OpenVPN between two nodes.

    A mode's package assigns it as `MODE: TunnelMode = …`, which a type checker verifies.
    """

    @property
    def name(self) -> str:
        """The name in topologies, and of the entry point."""

    @property
    def summary(self) -> str:
        """One line: what the mode does and when to choose it."""

    @property
    def traits(self) -> Traits:
        """The properties of the mode."""

    def check(self, intent: TunnelIntent) -> Sequence[Objection]:
        """Return the objections to a declared tunnel; empty if the mode can run it."""

    def unsupported(self, intent: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
        """Return the traffic classes of routing daemons that the tunnel does not forward, each with the reason.

        `clients` is the number of tunnels that the server's process serves, this one included.
        """

    def render(self, tunnel: Tunnel, identity: Identity) -> Mapping[End, Sequence[RenderedFile]]:
        """Render the files of both ends; secret ones have mode 0600."""

    def static_options(self, server_networks: Sequence[str], client_networks: Sequence[str]) -> Mapping[str, Any]:
        """Return the options that list the networks behind both ends; empty where routing daemons announce them."""


def pin_data_path(mode: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with which a tunnel of this mode forwards data the same way on every kernel.

    A mode that needs a kernel device uses it, any other one forwards in userspace. For comparisons: by default each
    end of OpenVPN 2.7 uses the kernel if it can.
    """
    if modes()[mode].traits.kernel is not None:
        return {name: value for name, value in options.items() if name != "disable-dco"}
    return {"disable-dco": True, **options}


def display_name(mode: str) -> str:
    """Return a mode's name as it is shown to the user, with a remark if it is deprecated."""
    known = modes().get(mode)
    return f"{mode} (deprecated)" if known is not None and known.traits.deprecated else mode


@cache
def modes() -> Mapping[str, TunnelMode]:
    """Return all installed modes by name; each is imported on first use, see `Plugins`."""
    return Plugins(GROUP, TunnelMode, "a lab.tunnel.TunnelMode")
