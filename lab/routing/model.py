"""What every routing daemon can be asked for, whatever it speaks: its neighbours and its RIB."""

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
        """Routes are exchanged."""
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
        """The databases are the same."""
        return self is AdjacencyState.FULL


class RipState(StrEnum):
    """RIP knows no sessions: a neighbour is heard, or it is not (RFC 2453, section 3.8)."""

    SILENT = "Silent"
    HEARD = "Heard"

    @property
    def up(self) -> bool:
        """It was heard lately."""
        return self is RipState.HEARD


class BfdState(StrEnum):
    """States of a BFD session (RFC 5880, section 4.1)."""

    ADMIN_DOWN = "AdminDown"
    DOWN = "Down"
    INIT = "Init"
    UP = "Up"

    @property
    def up(self) -> bool:
        """Each end hears the other."""
        return self is BfdState.UP


State = SessionState | AdjacencyState | RipState
DOWN: Mapping[RoutingProtocol, State] = {
    "bgp": SessionState.IDLE,
    "ospf": AdjacencyState.DOWN,
    "rip": RipState.SILENT,
}
"""The state of a neighbour that a daemon has no word of."""


@dataclass(frozen=True)
class Neighbor:
    """A BGP session, an OSPF adjacency or a RIP neighbour, as its daemon sees it."""

    address: Address | None
    """None where only the interface is known, and nobody there was heard yet."""
    asn: int | None
    """BGP's."""
    state: State
    uptime: float
    """Seconds since it came up; 0 where it is not."""
    times_established: int
    prefixes_received: Mapping[Family, int]
    """BGP's, per family that both sides negotiated; a family that is missing is not carried by this session."""
    last_reset: str
    """Why it went down last, in the daemon's words; empty where it never did."""
    interface: str = ""
    """The local one that leads to it, where the daemon says so."""
    router_id: IPv4Address | None = None
    """What it calls itself, where the daemon says so."""
    bfd: BfdState | None = None
    """Of the BFD session that watches it; None where none does."""

    @property
    def up(self) -> bool:
        """Routes are exchanged with it."""
        return self.state.up


@dataclass(frozen=True)
class Path:
    """One way to a prefix in a daemon's RIB (BGP: Loc-RIB and Adj-RIB-In alike)."""

    prefix: Prefix
    next_hops: tuple[IPv4Address | IPv6Address, ...]
    as_path: tuple[int, ...]
    peer: Address | None
    """The neighbour it came from; for OSPF and RIP the next hop. None where this router originates it."""
    best: bool
    valid: bool


@dataclass(frozen=True)
class Attributes:
    """Path attributes that a router sets on prefixes (RFC 4271, section 5.1); what is None stays as it would be."""

    med: int | None = None
    """MULTI_EXIT_DISC: of paths from the same neighbouring AS the lowest is preferred."""
    next_hop: Address | None = None
    local_pref: int | None = None
    """LOCAL_PREF: the highest is preferred; it stays within an AS, so it is set where routes come in."""
    prepend: int = 0
    """How often the own AS number is put in front of the path once more, which makes it longer."""


Direction = Literal["in", "out"]
"""Whether attributes are set on what comes from a neighbour, or on what goes to it."""

Rib = Mapping[Prefix, tuple[Path, ...]]
"""A RIB of one family: all paths of each prefix."""


@dataclass(frozen=True)
class RibEvent:
    """A change that a daemon told of while it was monitored."""

    time: float
    """Seconds on CLOCK_MONOTONIC."""
    what: Literal["best", "gone", "up", "down"]
    """A prefix has a new best path, or none any more; a neighbour came up, or was given up."""
    prefix: Prefix | None
    """None where it is about a neighbour."""
    peer: Address | None
    """The neighbour; None where it is about a prefix."""
