"""`RoutingDaemon`: the base class of all routing daemons, which are found by entry point.

A subclass without one of the abstract members cannot be instantiated; `mypy` reports which one is missing.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final, Self

from lab.core.errors import InputError
from lab.core.files import RenderedFile
from lab.core.plugins import Plugins
from lab.engine.node import RunningNode
from lab.routing.inquiry import Inquiry
from lab.routing.model import Attributes, Direction, Neighbor, Rib, RibEvent
from lab.routing.peer import Peer
from lab.routing.peers import RouterPlan
from lab.topology import Family, Objection, Prefix, RouterIntent, RoutingProtocol
from lab.topology.own import OwnRouter, Remark

GROUP: Final = "openvpn_routing_lab.routing_daemons"
"""The entry points that name daemons; each refers to an instance."""
_LINES = 5
"""Lines of `start.log` that an error quotes."""

Socket = socket.socket


class Monitor(ABC):
    """Reports the changes of a daemon's RIB and of its neighbours. Close it when done."""

    socket: Socket | None = None
    """Carries the daemon's reports, timestamped when read; None if the daemon writes a file with timestamps."""

    @property
    @abstractmethod
    def source(self) -> str:
        """How the daemon reports changes: `bmp`, `log`, …"""

    @property
    @abstractmethod
    def error(self) -> float:
        """Seconds by which a time may be wrong, besides the time that reading the socket takes."""

    @abstractmethod
    def events(
        self, read: Sequence[tuple[float, bytes]], prefixes: Collection[Prefix], monotonic: Callable[[int], float]
    ) -> list[RibEvent]:
        """Return the reported changes of `prefixes` and of all neighbours.

        `read` is the data from the socket, with its times; `monotonic` turns nanoseconds of CLOCK_REALTIME into
        seconds of CLOCK_MONOTONIC.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the reports, also of a daemon that has ended."""


class RoutingDaemon(ABC):
    """A routing daemon. Methods that talk to a running one raise `EnvironmentBroken` if it does not answer."""

    def __init__(
        self,
        protocol: RoutingProtocol = "bgp",
        own_files: "Callable[[OwnRouter], RoutingDaemon] | None" = None,
    ) -> None:
        """Use the daemon with one routing protocol; `own_files` makes the one that runs with files of the user's."""
        self.protocol: RoutingProtocol = protocol
        self._own_files = own_files

    # --- properties of the program ---------------------------------------------------------------------------

    @property
    @abstractmethod
    def name(self) -> str:
        """The name in topologies."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """One line that describes it."""

    @property
    @abstractmethod
    def capabilities(self) -> Sequence[str]:
        """The capabilities that its processes need besides NET_ADMIN and NET_RAW."""

    @property
    @abstractmethod
    def configuration(self) -> PurePosixPath:
        """The directory of its configuration, in a node as on a Debian host."""

    @property
    @abstractmethod
    def logs(self) -> PurePosixPath:
        """The directory of its logs."""

    @property
    @abstractmethod
    def owner(self) -> tuple[int, int]:
        """The user and group ids that write the logs."""

    @property
    @abstractmethod
    def package(self) -> str:
        """The Debian package that installs it."""

    @property
    @abstractmethod
    def programs(self) -> Sequence[str]:
        """Its processes that hold BGP routes, by the names that the kernel shows (`comm` in proc(5))."""

    @property
    def frr_conf(self) -> PurePosixPath | None:
        """Its configuration file, if that is written in FRR's language, which `lab advise` reads."""
        return None

    @property
    def bird_conf(self) -> PurePosixPath | None:
        """Its configuration file, if that is written in BIRD's language, which `lab advise` reads."""
        return None

    @property
    def initiates_unnumbered(self) -> bool:
        """True if it finds a BGP neighbour without an address by router advertisements (RFC 4861), and connects.

        False if it only accepts connections from such a neighbour.
        """
        return False

    @abstractmethod
    def route_protocol(self, family: Family) -> int:
        """Return the number that marks its routes in the kernel (`rtm_protocol` in rtnetlink(7))."""

    def start_command(self, plan: RouterPlan) -> Sequence[str]:
        """Return the command that starts it in a node that has its files, for a lab that others run.

        Raises `InputError` if it has none.
        """
        raise InputError(f"{plan.node}: {self.name} has no command that starts it without this lab")

    # --- files ---------------------------------------------------------------------------------------------

    def check(self, intent: RouterIntent) -> Sequence[Objection]:
        """Return an objection for each part of a router's intent that the daemon does not support."""
        if intent.config and self._own_files is None:
            return [Objection(("config",), f"{self.name} does not run with files of your own", "leave out 'config'")]
        return []

    def for_protocol(self, protocol: RoutingProtocol) -> Self:
        """Return this daemon for another protocol."""
        return type(self)(protocol)

    def with_own_files(self, own: OwnRouter) -> "RoutingDaemon":
        """Return the daemon as it runs with files of the user's; raises `InputError` if it does not."""
        if self._own_files is None:
            raise InputError(f"{own.node}: {self.name} does not run with files of your own")
        return self._own_files(own)

    def remarks(self, node: RunningNode, plan: RouterPlan) -> Sequence[Remark]:
        """Return what the running daemon does differently from files of the user's: the lines that it refused."""
        return []

    @abstractmethod
    def render(self, plan: RouterPlan) -> Sequence[RenderedFile]:
        """Render the configuration files of one router."""

    def describe(self, file: PurePosixPath) -> str:
        """Name one of its rendered files for the guide of `lab render`."""
        return "configuration"

    @abstractmethod
    def host_steps(self, intent: RouterIntent) -> Sequence[str]:
        """Return the steps, in Markdown, that start the daemon on a real host which has its files."""

    # --- processes -----------------------------------------------------------------------------------------

    @abstractmethod
    def start(self, node: RunningNode, plan: RouterPlan) -> None:
        """Start the daemon and wait until it has read its configuration."""

    @abstractmethod
    def stop(self, node: RunningNode, signal: str = "KILL") -> None:
        """Stop the daemon and wait until it has ended; do nothing if it does not run.

        With KILL its routes stay in the kernel, with TERM it removes them.
        """

    @abstractmethod
    def processes(self, node: RunningNode) -> Sequence[int]:
        """Return the ids of its processes as the node counts them; empty if it does not run."""

    @abstractmethod
    def is_running(self, node: RunningNode) -> bool:
        """Return whether the daemon answers."""

    # --- routes --------------------------------------------------------------------------------------------

    @abstractmethod
    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """Return all configured BGP sessions, or the OSPF or RIP neighbours that the daemon has detected."""

    @abstractmethod
    def rib(self, node: RunningNode, family: Family) -> Rib:
        """Return the daemon's RIB of one family."""

    @abstractmethod
    def reset(self, node: RunningNode, plan: RouterPlan, peers: Sequence[Peer], *, soft: bool) -> None:
        """Tear down BGP sessions and establish them again; with `soft` only exchange all routes again (RFC 2918)."""

    @abstractmethod
    def set_attributes(
        self,
        node: RunningNode,
        plan: RouterPlan,
        peers: Sequence[Peer],
        prefixes: Sequence[Prefix],
        attributes: Attributes | None,
        direction: Direction,
    ) -> None:
        """Set the attributes of prefixes exchanged with BGP neighbours; None removes them."""

    @abstractmethod
    def announce(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Start originating prefixes of any family."""

    @abstractmethod
    def withdraw(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Stop originating prefixes."""

    def originated(self, node: RunningNode, family: Family) -> frozenset[Prefix]:
        """Return the prefixes that this router originates: those with a path that was not received from a neighbour."""
        rib = self.rib(node, family)
        return frozenset(prefix for prefix, paths in rib.items() if any(path.peer is None for path in paths))

    def receivers(self, node: RunningNode, plan: RouterPlan, prefix: Prefix) -> Sequence[str] | None:
        """Return the BGP neighbours to which a router sends a prefix; None if the lab cannot tell."""
        return None

    def monitor(self, node: RunningNode, plan: RouterPlan) -> Monitor | None:
        """Start to report changes; None if the daemon cannot report them with this protocol or in this build."""
        return None

    # --- failures ------------------------------------------------------------------------------------------

    @abstractmethod
    def inquiry(self, node: RunningNode, plan: RouterPlan) -> Inquiry:
        """Return what answers questions about a missing route or a session that is down."""

    @abstractmethod
    def diagnosis(self, node: RunningNode) -> Mapping[str, str]:
        """Return the output to keep of a failure, as texts by file name."""

    def start_log_size(self, node: RunningNode) -> int:
        """Return the size of `start.log` in bytes, from which `start_log_since` can read on."""
        log = self._start_log(node)
        return log.stat().st_size if log.exists() else 0

    def start_log_since(self, node: RunningNode, size: int) -> list[str]:
        """Return the lines of `start.log` after its first `size` bytes."""
        log = self._start_log(node)
        return log.read_bytes()[size:].decode(errors="replace").splitlines() if log.exists() else []

    def _start_log(self, node: RunningNode) -> Path:
        return node.files / self.logs.relative_to("/") / "start.log"

    def start_log(self, node: RunningNode) -> str:
        """Return the last lines of `start.log`, for the error that the daemon did not start."""
        log = self._start_log(node)
        if not log.exists():
            return f"{self.logs / 'start.log'} does not exist"
        return " / ".join(log.read_text(errors="replace").splitlines()[-_LINES:])


@cache
def daemons() -> Mapping[str, RoutingDaemon]:
    """Return all installed routing daemons by name; each is imported on first use, see `Plugins`."""
    return Plugins(GROUP, RoutingDaemon, "an instance of a subclass of lab.routing.RoutingDaemon")


def daemon_of(plan: RouterPlan) -> RoutingDaemon:
    """Return the daemon of a router, for its protocol or with its own files."""
    daemon = daemons()[plan.daemon]
    return daemon.for_protocol(plan.protocol) if plan.own is None else daemon.with_own_files(plan.own)
