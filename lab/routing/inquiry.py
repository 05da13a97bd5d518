"""`Inquiry`: what a running daemon knows about one route or one session, asked when something is missing.

Each question has a method; a daemon answers from its own state and from the configuration that it runs with, and
changes neither. `None` means that the daemon does not tell.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Literal

from lab.routing.model import BfdState, Direction, SessionState
from lab.topology import Address, Family, Prefix, RoutingProtocol


@dataclass(frozen=True)
class Line:
    """A line of a daemon's configuration."""

    text: str
    place: str
    """The user's file and its line, or the name of the configuration: `frr.conf of hq`."""

    def __str__(self) -> str:
        return f"`{self.text}` ({self.place})"


@dataclass(frozen=True)
class Notification:
    """The NOTIFICATION message that ended a session or refused it (RFC 4271, section 4.5)."""

    code: int
    subcode: int
    sent: bool
    """True if this router sent it."""
    text: str


@dataclass(frozen=True)
class BgpSession:
    """A configured BGP session: its settings at this end, and its state."""

    name: str
    """The neighbour's name in the configuration: an address, an interface, or BIRD's protocol."""
    address: Address | None
    interface: str
    state: SessionState
    local_as: int | None
    remote_as: int | None
    """None for any."""
    families: frozenset[Family]
    """The families that are activated at this end."""
    offered: frozenset[Family] | None
    """The families in the neighbour's last OPEN; None if it is not known."""
    shutdown: bool = False
    password: str | None = field(default=None, repr=False)
    ttl_security: bool = False
    allows_own_as: bool = False
    """True if routes with this router's own AS in their path are accepted (`allowas-in`, `allow local as`)."""
    hold: int = 0
    """The hold time that this end proposes, in seconds."""
    least_hold: int = 3
    """The shortest hold time that this end accepts, in seconds (RFC 4271, section 4.2)."""
    router_id: IPv4Address | None = None
    """This end's router ID."""
    error: str = ""
    """Why it went down last, or did not come up, in the daemon's words."""
    notification: Notification | None = None
    limits: Mapping[Family, int] = field(default_factory=dict)
    """The most prefixes that are accepted."""
    limit_exceeded: bool = False
    """True if this end closed the session, or refuses routes, because of `limits`."""
    bfd: BfdState | None = None

    @property
    def internal(self) -> bool:
        """Return whether both ends are in the same AS."""
        return self.local_as is not None and self.local_as == self.remote_as


Obstacle = Literal["filter", "policy-required", "as-loop", "split-horizon", "not-reflected", "community", "next-hop"]
"""Why a route does not pass between a router and a neighbour.

A line of a policy; the missing policy of an eBGP session (RFC 8212); the own AS in the path; it came from that
neighbour; it came from another internal neighbour (RFC 4456); a well-known community (RFC 1997); a next hop that is not
acceptable.
"""


@dataclass(frozen=True)
class Passage:
    """The passage of a route between a router and one of its neighbours: it passes, or an obstacle stops it."""

    passes: bool | None
    """True if it is sent (or accepted), False if it is not, None if the daemon does not tell."""
    obstacle: Obstacle | None = None
    line: Line | None = None
    """The line of a policy that rejects it."""
    source: str = ""
    """The command, or the log that was read, as `show bgp ipv4 unicast 10.1.0.0/24`."""
    seen: str = ""
    """Its output about the route."""


@dataclass(frozen=True)
class Candidate:
    """A path to a prefix in a router's tables."""

    protocol: str
    peer: Address | None
    """None if this router originates it."""
    next_hops: tuple[Address, ...]
    interfaces: tuple[str, ...]
    valid: bool
    best: bool
    resolved: bool = True
    """False if the router has no route to its next hop."""
    as_path: tuple[int, ...] = ()
    reason: str = ""
    """The daemon's reason why it is or is not the best path, in the daemon's words."""
    communities: frozenset[tuple[int, ...]] = frozenset()
    """The numbers of its communities: two each (RFC 1997), or three for a large one (RFC 8092)."""


@dataclass(frozen=True)
class RouteState:
    """All paths to a prefix, and what became of the best one."""

    candidates: tuple[Candidate, ...]
    source: str
    """The commands."""
    installed: bool | None = None
    """True if the daemon holds that the route is in the kernel."""
    obstacle: Literal["filter", "rejected", "other-protocol", "inactive", ""] = ""
    """Why the best path is not in the kernel: a line of a policy; the kernel refused it; another protocol's route is
    preferred; its next hop is not usable."""
    line: Line | None = None
    seen: str = ""

    @property
    def best(self) -> Candidate | None:
        """The best valid path."""
        return next((c for c in self.candidates if c.best and c.valid), None)


@dataclass(frozen=True)
class Origin:
    """How a router originates a prefix, or why it does not."""

    originated: bool
    line: Line | None = None
    """The statement that should originate it; None if there is none."""
    seen: str = ""


@dataclass(frozen=True)
class InteriorInterface:
    """An interface on which OSPF or RIP runs, with what both ends must have in common (RFC 2328, section 10.5)."""

    protocol: RoutingProtocol
    interface: str
    family: Family
    area: str = ""
    """OSPF's area as dotted quad."""
    network_type: Literal["ptp", "broadcast", "nbma", "ptmp", ""] = ""
    hello: int | None = None
    """Seconds between two HELLO packets."""
    dead: int | None = None
    """Seconds after which a silent neighbour is down."""
    passive: bool = False


Setting = Literal["enabled", "passive", "area", "hello", "dead", "network-type"]
"""The settings of an `InteriorInterface` that a mend can change."""
Action = Literal[
    "activate",
    "originate",
    "permit",
    "policy",
    "password",
    "ttl-security",
    "remote-as",
    "address",
    "no-shutdown",
    "limit",
    "hold",
    "next-hop",
    "reflect",
    "export",
    "interior",
    "prefer",
]
"""The changes of a mend: a family of a session, an originated prefix, a line of a policy, a missing policy, …"""


@dataclass(frozen=True)
class Mend:
    """A change of a configuration, to be put into a daemon's words."""

    action: Action
    session: BgpSession | None = None
    family: Family | None = None
    prefix: Prefix | None = None
    line: Line | None = None
    value: str = ""
    """The AS number, address or number that is right; `add` for a password that is missing."""
    asn: int | None = None
    """The AS number of a neighbour to add."""
    interface: InteriorInterface | None = None
    """The interface of which `setting` becomes `value`."""
    setting: Setting | None = None
    direction: Direction | None = None


class Inquiry(ABC):
    """Questions to one running daemon; all raise `EnvironmentBroken` if it does not answer."""

    @abstractmethod
    def sessions(self) -> Sequence[BgpSession]:
        """Return all configured BGP sessions."""

    @abstractmethod
    def route(self, prefix: Prefix) -> RouteState:
        """Return the paths to a prefix, and whether the best one is in the kernel."""

    @abstractmethod
    def origin(self, prefix: Prefix) -> Origin:
        """Return how this router originates a prefix."""

    @abstractmethod
    def sent(self, session: BgpSession, prefix: Prefix) -> Passage:
        """Return whether a prefix that this router has is announced to a BGP neighbour."""

    @abstractmethod
    def received(self, session: BgpSession, prefix: Prefix) -> Passage:
        """Return whether a prefix that a BGP neighbour announces is accepted."""

    @abstractmethod
    def interior(self) -> Sequence[InteriorInterface]:
        """Return the interfaces on which OSPF or RIP runs."""

    @abstractmethod
    def mend(self, mend: Mend) -> str:
        """Put a change into words: the line to add or to change, and in which file."""
