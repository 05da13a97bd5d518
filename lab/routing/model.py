"""What every routing daemon can be asked for, in the words of RFC 4271."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from lab.topology import Address, Family, Prefix


class SessionState(StrEnum):
    """States of a BGP session (RFC 4271, section 8.2.2)."""

    IDLE = "Idle"
    CONNECT = "Connect"
    ACTIVE = "Active"
    OPEN_SENT = "OpenSent"
    OPEN_CONFIRM = "OpenConfirm"
    ESTABLISHED = "Established"


@dataclass(frozen=True)
class Neighbor:
    """A BGP session as its daemon sees it."""

    address: Address
    asn: int
    state: SessionState
    uptime: float
    """Seconds since it was established; 0 where it is not."""
    times_established: int
    prefixes_received: Mapping[Family, int]
    """Per family that both sides negotiated; a family that is missing is not carried by this session."""
    last_reset: str
    """Why it went down last, in the daemon's words; empty where it never did."""


@dataclass(frozen=True)
class Path:
    """One way to a prefix in the BGP RIB (Loc-RIB and Adj-RIB-In alike)."""

    prefix: Prefix
    next_hops: tuple[IPv4Address | IPv6Address, ...]
    as_path: tuple[int, ...]
    peer: Address | None
    """The neighbour it came from; None where this router originates it."""
    best: bool
    valid: bool


Rib = Mapping[Prefix, tuple[Path, ...]]
"""A BGP RIB of one family: all paths of each prefix."""
