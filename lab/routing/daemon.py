"""What a routing daemon is to the lab: one small unit, found by entry point, so that adding one touches no other."""

import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import PurePosixPath
from typing import Protocol, Self

from lab.core.files import RenderedFile
from lab.engine.node import RunningNode
from lab.routing.model import Attributes, Direction, Neighbor, Rib, RibEvent
from lab.routing.peers import Peer, RouterPlan
from lab.topology import Family, Objection, Prefix, RouterIntent, RoutingProtocol


class Monitor(Protocol):
    """A daemon that tells of each change of its RIB and of its neighbours. Close it when done."""

    source: str
    """By what means it tells: `bmp`, `log`, …"""
    error: float
    """Seconds by which a time may be wrong, besides what reading the socket takes."""
    socket: socket.socket | None
    """What it says comes here, and has the time of its reading; None where it writes times of its own to a file."""

    def events(
        self, read: Sequence[tuple[float, bytes]], wanted: Collection[Prefix], monotonic: Callable[[int], float]
    ) -> list[RibEvent]:
        """What it told of the `wanted` prefixes and of all neighbours.

        `read` is what came through the socket, with its times; `monotonic` turns nanoseconds of CLOCK_REALTIME into
        seconds of CLOCK_MONOTONIC.
        """

    def close(self) -> None:
        """Let it be silent again; a daemon that has ended is no error."""


class RoutingDaemon(Protocol):
    """A routing daemon. What talks to a running one raises `EnvironmentBroken` where it does not answer."""

    @property
    def name(self) -> str:
        """What a topology calls it."""

    @property
    def summary(self) -> str:
        """One line about it."""

    capabilities: tuple[str, ...]
    """What its processes need besides NET_ADMIN and NET_RAW."""
    configuration: PurePosixPath
    """The directory of its configuration, in a node as on a Debian host."""
    logs: PurePosixPath
    """The directory of its logs."""
    owner: tuple[int, int]
    """The user and group ids that write there."""
    package: str
    """The Debian package that installs it."""
    programs: tuple[str, ...]
    """Its processes that hold BGP routes, by the names that the kernel shows (`comm` in proc(5))."""
    frr_conf: PurePosixPath | None
    """Its configuration file, if that is written in FRR's language, which `lab advise` reads."""
    calls_unnumbered: bool
    """It finds a BGP neighbour whose address nobody wrote down, by its router advertisements (RFC 4861), and calls it;
    else it only waits to be called by one."""

    def check(self, intent: RouterIntent) -> Sequence[Objection]:
        """What the daemon has against a router as declared; nothing where it can be it."""

    def speaking(self, protocol: RoutingProtocol) -> Self:
        """This daemon as it is where it speaks one protocol."""

    def render(self, plan: RouterPlan) -> Sequence[RenderedFile]:
        """The configuration files of one router."""

    def describe(self, file: PurePosixPath) -> str:
        """Name one of its rendered files for the guide of `lab render`, e.g. `configuration`."""

    def host_steps(self, intent: RouterIntent) -> Sequence[str]:
        """Return the steps, in Markdown, that start the daemon on a real host which has its files."""

    def start(self, node: RunningNode, plan: RouterPlan) -> None:
        """Start the daemon and return when it has its configuration."""

    def stop(self, node: RunningNode, signal: str = "KILL") -> None:
        """End the daemon and return when it is gone; a daemon that does not run is no error.

        With KILL it has no time to take its routes out of the kernel, with TERM it does that.
        """

    def processes(self, node: RunningNode) -> Sequence[int]:
        """The ids that its processes have in the node; none where it does not run."""

    def running(self, node: RunningNode) -> bool:
        """True where the daemon answers."""

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """All BGP sessions that are configured; all OSPF and RIP neighbours that are heard."""

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """What the daemon knows of one family."""

    def reset(self, node: RunningNode, plan: RouterPlan, peers: Sequence[Peer], *, soft: bool) -> None:
        """Tear down BGP sessions and build them anew; with `soft` only exchange all routes anew (RFC 2918)."""

    def attribute(
        self,
        node: RunningNode,
        plan: RouterPlan,
        peers: Sequence[Peer],
        prefixes: Sequence[Prefix],
        attributes: Attributes | None,
        direction: Direction,
    ) -> None:
        """Set attributes on prefixes that BGP neighbours are told of, or tell; None sets none any more."""

    def announce(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Originate prefixes of any family, from now on."""

    def withdraw(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Originate them no longer."""

    def originated(self, node: RunningNode, family: Family) -> frozenset[Prefix]:
        """The prefixes that this router originates."""

    def monitor(self, node: RunningNode, plan: RouterPlan) -> Monitor | None:
        """Have it tell of each change from now on; None where it cannot, in this protocol or this build."""

    def diagnosis(self, node: RunningNode) -> Mapping[str, str]:
        """What to keep of a failure: a file's name and its text."""


@cache
def daemons() -> Mapping[str, RoutingDaemon]:
    """All routing daemons that the lab can drive, by name."""
    found = (entry.load() for entry in entry_points(group="openvpn_routing_lab.routing_daemons"))
    return {daemon.name: daemon for daemon in found}


def daemon_of(plan: RouterPlan) -> RoutingDaemon:
    """The daemon of a router, speaking its protocol."""
    return daemons()[plan.daemon].speaking(plan.protocol)
