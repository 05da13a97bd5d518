"""What a tunnel mode is: one way of running OpenVPN between two nodes, as one small unit.

A mode says what it is for and what it can do, checks the options that a topology gives it, and renders the files of
both ends. The lab finds modes by the entry point group `openvpn_routing_lab.tunnel_modes`, so adding one touches no
other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol

from lab.core.files import RenderedFile
from lab.core.prefixes import FAMILIES
from lab.topology import Family, Objection, TrafficClass, Tunnel, TunnelIntent
from lab.tunnel.keyfiles import derived
from lab.tunnel.pki import Authority, Credentials

End = Literal["server", "client"]
CONFIGURATION = PurePosixPath("/etc/openvpn")
"""Where the files of tunnels lie, in a node as on a Debian host."""
LOGS = PurePosixPath("/var/log/openvpn")
SOCKETS = PurePosixPath("/run/openvpn")


@dataclass(frozen=True)
class Identity:
    """What a tunnel's ends trust each other by."""

    authority: str
    """The authority's certificate, as PEM."""
    revoked: str
    """The authority's list of revoked certificates, as PEM."""
    server: Credentials
    client: Credentials
    secret: bytes
    """What the keys are derived from that both ends share: the same at each rendering, and for all of a server's
    tunnels, so that nobody has to remember them."""

    @classmethod
    def issue(cls, tunnel: Tunnel, authority: Authority) -> "Identity":
        """Make fresh keys and certificates for both ends; each is named after its node."""
        ends = processes(tunnel)
        return cls(
            authority=authority.certificate,
            revoked=authority.revocation_list(),
            server=authority.issue(tunnel.server, "server"),
            client=authority.issue(tunnel.client, "client"),
            secret=derived(authority.key.encode(), f"tunnel {ends['server'].tunnel}", 32),
        )


@dataclass(frozen=True)
class Process:
    """One OpenVPN process: where its files are, as its node sees them."""

    tunnel: str
    """The tunnel's name; where tunnels share a server, the name of what they share."""
    end: End
    node: str

    @property
    def directory(self) -> PurePosixPath:
        """Debian's units `openvpn-server@` and `openvpn-client@` look here, and run here."""
        return CONFIGURATION / self.end

    @property
    def configuration(self) -> PurePosixPath:
        """The configuration file."""
        return self.directory / f"{self.tunnel}.conf"

    @property
    def files(self) -> PurePosixPath:
        """Keys, certificates and scripts of this process alone."""
        return self.directory / self.tunnel

    @property
    def log(self) -> PurePosixPath:
        """OpenVPN's own log."""
        return LOGS / f"{self.tunnel}.{self.end}.log"

    @property
    def socket(self) -> PurePosixPath:
        """The management interface's Unix socket."""
        return SOCKETS / f"{self.tunnel}.{self.end}.sock"

    @property
    def argv(self) -> tuple[str, ...]:
        """How the process is started, in the foreground."""
        return (
            "openvpn",
            *("--cd", str(self.directory)),
            # Before the configuration, so that what OpenVPN refuses of it is in the log too.
            *("--log-append", str(self.log)),
            *("--config", str(self.configuration)),
        )


def processes(tunnel: Tunnel) -> Mapping[End, Process]:
    """Both processes of a tunnel."""
    return {
        "server": Process(tunnel.shared or tunnel.name, "server", tunnel.server),
        "client": Process(tunnel.name, "client", tunnel.client),
    }


@dataclass(frozen=True)
class Traits:
    """What a mode needs and what passes through it."""

    device: Literal["tun", "tap"] = "tun"
    mode_server: bool = True
    """OpenVPN's `mode server`: the server is ready before its first client, and keeps a list of them. Without it the
    two ends are equals, and one is connected when the other is."""
    needs_iroute: bool = False
    """Nothing but its own addresses passes unless `iroute` says so."""
    clients_per_process: int | None = 1
    """How many clients a server process takes; None for any number."""
    clients_routed_for: int | None = None
    """For how many of these traffic passes at the same time; None for all of them."""
    families: tuple[Family, ...] = FAMILIES
    """Those of which everything passes that a routing daemon announces, whenever it does."""
    multicast: tuple[Family, ...] = FAMILIES
    """Those in which packets to link-local groups pass both ways, which OSPF and RIP need; IPv6's come from link-local
    addresses."""
    mtu: int = 1500
    """Bytes of the largest IP packet that passes in one piece, in either family."""
    certificates: bool = True
    """The ends know each other by certificates; else by a key that both have."""
    openvpn: tuple[str, ...] = ("2.6", "2.7")
    """The versions that can run it."""
    kernel: str | None = None
    """The kind of device that the kernel must have."""
    deprecated: str = ""
    """Why it should not be chosen any more; empty where it may be."""


class TunnelMode(Protocol):
    """One way of running OpenVPN between two nodes."""

    name: str
    summary: str
    """One line: what it does and when to choose it."""
    traits: Traits

    def check(self, intent: TunnelIntent) -> Sequence[Objection]:
        """What the mode has against a tunnel as declared; nothing where it can run it."""

    def unsupported(self, intent: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
        """What a routing daemon may need that does not pass, each with the reason.

        `clients` are the tunnels that the server's process serves, this one among them.
        """

    def render(self, tunnel: Tunnel, identity: Identity) -> Mapping[End, Sequence[RenderedFile]]:
        """The files of both ends; the secret ones with mode 0600."""


def carried_as_declared(mode: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with which a tunnel of this mode is the same on every kernel: the data in userspace, or else in it.

    For comparisons; by itself OpenVPN 2.7 lets the kernel carry what it can, at each end for itself.
    """
    if modes()[mode].traits.kernel is not None:
        return {name: value for name, value in options.items() if name != "disable-dco"}
    return {"disable-dco": True, **options}


def shown(mode: str) -> str:
    """A mode's name for a reader: one that should not be chosen any more says so."""
    known = modes().get(mode)
    return f"{mode} (deprecated)" if known is not None and known.traits.deprecated else mode


@cache
def modes() -> Mapping[str, TunnelMode]:
    """All modes that are installed, by name."""
    found = (entry.load() for entry in entry_points(group="openvpn_routing_lab.tunnel_modes"))
    return {mode.name: mode for mode in found}
