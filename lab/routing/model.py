"""The state of a routing daemon, for every daemon and protocol: its neighbours and its RIB."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from lab.topology import Address, Family, Prefix, RoutingProtocol


class SessionState(StrEnum):
    """States of a BGP session (RFC 4271, section 8.2.2)."""

    IDLE = "Idle"
    CONNECT = "Connect"
    ACTIVE = "Active"
    OPEN_SENT = "OpenSent"
    OPEN_CONFIRM = "OpenConfirm"
    ESTABLISHED = "Established"

    @property
    def up(self) -> bool:
        """Return whether routes are exchanged."""
        return self is SessionState.ESTABLISHED


class AdjacencyState(StrEnum):
    """States of an OSPF neighbour (RFC 2328, section 10.1)."""

    DOWN = "Down"
    ATTEMPT = "Attempt"
    INIT = "Init"
    TWO_WAY = "2-Way"
    EX_START = "ExStart"
    EXCHANGE = "Exchange"
    LOADING = "Loading"
    FULL = "Full"

    @property
    def up(self) -> bool:
        """Return whether the link-state databases are synchronized."""
        return self is AdjacencyState.FULL


class RipState(StrEnum):
    """States of a RIP neighbour, which has no session: its updates arrive or not (RFC 2453, section 3.8)."""

    SILENT = "Silent"
    HEARD = "Heard"

    @property
    def up(self) -> bool:
        """Return whether its updates arrive."""
        return self is RipState.HEARD


class BfdState(StrEnum):
    """States of a BFD session (RFC 5880, section 4.1)."""

    ADMIN_DOWN = "AdminDown"
    DOWN = "Down"
    INIT = "Init"
    UP = "Up"

    @property
    def up(self) -> bool:
        """Return whether each end receives the packets of the other."""
        return self is BfdState.UP


State = SessionState | AdjacencyState | RipState
DOWN: Mapping[RoutingProtocol, State] = {
    "bgp": SessionState.IDLE,
    "ospf": AdjacencyState.DOWN,
    "rip": RipState.SILENT,
}
"""The state of a configured neighbour that its daemon does not list."""


def protocol_of(state: State) -> RoutingProtocol:
    """Return the protocol of a neighbour by the kind of its state."""
    return next(protocol for protocol, down in DOWN.items() if type(state) is type(down))


@dataclass(frozen=True)
class Neighbor:
    """A BGP session, an OSPF adjacency or a RIP neighbour, as its daemon reports it."""

    address: Address | None
    """None if only the interface is configured, and no neighbour was detected on it yet."""
    asn: int | None
    """BGP only."""
    state: State
    uptime: float
    """Seconds since it came up; 0 while it is down."""
    times_established: int
    prefixes_received: Mapping[Family, int]
    """BGP only, by the families that both ends negotiated."""
    last_reset: str
    """The daemon's reason why it went down last; empty if it has not."""
    interface: str = ""
    """The local interface that leads to it, if the daemon reports it."""
    router_id: IPv4Address | None = None
    """The neighbour's router id, if the daemon reports it."""
    bfd: BfdState | None = None
    """The state of its BFD session; None without BFD."""
    vrf: str | None = None
    """The VRF of the session, if the daemon reports it; None for the default one."""

    @property
    def up(self) -> bool:
        """Return whether routes are exchanged with it."""
        return self.state.up


@dataclass(frozen=True)
class Path:
    """A path to a prefix in a daemon's RIB (of BGP in the Loc-RIB or an Adj-RIB-In)."""

    prefix: Prefix
    next_hops: tuple[IPv4Address | IPv6Address, ...]
    as_path: tuple[int, ...]
    peer: Address | None
    """The neighbour it was received from; for OSPF and RIP the next hop. None if this router originates it."""
    best: bool
    valid: bool
    med: int | None = None
    """BGP: MULTI_EXIT_DISC; None if the daemon does not report it."""
    local_pref: int | None = None
    """BGP: LOCAL_PREF; None if the daemon does not report it."""


@dataclass(frozen=True)
class Attributes:
    """Path attributes that a router sets on prefixes (RFC 4271, section 5.1); None leaves the default."""

    med: int | None = None
    """MULTI_EXIT_DISC: the lowest is preferred among paths from the same neighbouring AS."""
    next_hop: Address | None = None
    local_pref: int | None = None
    """LOCAL_PREF: the highest is preferred; it is not sent to other ASes, so it is set on received routes."""
    prepend: int = 0
    """How many times the own AS number is prepended to the path."""


Direction = Literal["in", "out"]
"""Attributes are set on routes received from a neighbour, or on routes sent to it."""

Rib = Mapping[Prefix, tuple[Path, ...]]
"""A RIB of one family: all paths of each prefix."""


@dataclass(frozen=True)
class RibEvent:
    """A change that a daemon reported while it was monitored."""

    time: float
    """Seconds on CLOCK_MONOTONIC."""
    what: Literal["best", "gone", "up", "down"]
    """A prefix got a new best path or lost its last one; a neighbour came up or went down."""
    prefix: Prefix | None
    """None if a neighbour changed."""
    peer: Address | None
    """None if a prefix changed."""
