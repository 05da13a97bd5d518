"""The interface of a routing daemon's configuration for rules, the same for all daemons."""

from typing import Literal, NamedTuple, Protocol

from lab.configs.disk import Spot
from lab.configs.routing.acceptance import Acceptance, Lengths
from lab.configs.routing.facts import BgpNeighbor, InteriorInterface, StaticRoute
from lab.core.prefixes import Address, Family, Prefix

RouteSource = Literal["own", "connected", "learned"]
"""The origin of a route: a `network` line or a static route, an interface's network, or another neighbour."""
EVERY = Lengths()
"""All lengths."""


class Gap(NamedTuple):
    """Something that a configuration does not show."""

    why: str
    spot: Spot
    bgp: bool = True
    """True if neighbours of BGP can be missing because of it."""


Direction = Literal["in", "out"]


class Obstacle(NamedTuple):
    """The reason why a session carries no route of a family in a direction, and its line."""

    why: str
    spot: Spot


class NextHops(NamedTuple):
    """The next hops of a session's routes that are not the address of an end of the session."""

    given: tuple[tuple[Address, Spot], ...] = ()
    """The addresses that a policy sets, each with its line."""
    doubt: Obstacle | None = None
    """A line that may give routes other next hops; None if there is none."""


class RoutingConfiguration(Protocol):
    """The configuration of a routing daemon."""

    @property
    def name(self) -> str:
        """The name of its file, as the user gave it."""

    @property
    def first(self) -> Spot:
        """The line of the first protocol."""

    @property
    def neighbors(self) -> tuple[BgpNeighbor, ...]:
        """All BGP neighbours and ranges."""

    @property
    def interior(self) -> tuple[InteriorInterface, ...]:
        """The interfaces of OSPF and RIP."""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Protocols that may run across a tunnel and cannot be judged, for example from a file that is missing."""

    @property
    def static_routes(self) -> tuple[StaticRoute, ...]:
        """The static routes."""

    @property
    def static_prefixes(self) -> frozenset[Prefix]:
        """The prefixes of static routes, which precede a protocol's routes to the same prefix."""

    def no_policy_needed(self, neighbor: BgpNeighbor) -> str:
        """Return the reason why an eBGP session needs no policy; empty if it does."""

    def missing_policies(self, neighbor: BgpNeighbor) -> list[str]:
        """Return what an eBGP session does not carry without a policy, as `IPv4 is announced`."""

    def undefined_policies(self, neighbor: BgpNeighbor) -> list[Obstacle]:
        """Return the policies that a neighbour names and that are not defined: they reject every route."""

    def carries_nothing(self, neighbor: BgpNeighbor, family: Family, direction: Direction) -> Obstacle | None:
        """Return the reason why a session carries no route of a family, whatever its prefix; None if it may."""

    def next_hops(self, neighbor: BgpNeighbor, family: Family, direction: Direction) -> NextHops:
        """Return the next hops, other than a router's own address, of routes from a neighbour or to it."""

    @property
    def other_bfd(self) -> tuple[Spot, ...]:
        """The lines by which other protocols than BGP have BFD."""

    def accepts(self, neighbor: BgpNeighbor, address: Address, lengths: Lengths = EVERY) -> Acceptance:
        """Check if a route from a neighbour that covers `address`, with one of the lengths, is accepted."""

    def announces(self, neighbor: BgpNeighbor, prefix: Prefix, source: RouteSource) -> bool | None:
        """Return whether a prefix of the RIB is announced to a neighbour; None if unknown."""

    def installs(self, found: InteriorInterface, address: Address, device: str, lengths: Lengths = EVERY) -> Acceptance:
        """Check if a route of OSPF or RIP, through a device, that covers `address` reaches the kernel."""
