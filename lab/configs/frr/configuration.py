"""A configuration of FRR or Quagga: neighbours, interior protocols, and what their policies accept."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from ipaddress import ip_network

from lab.configs.disk import Spot
from lab.configs.frr.bfd import with_timers
from lab.configs.frr.interior import PROTOCOLS, interior_interfaces
from lab.configs.frr.known import is_known
from lab.configs.frr.neighbors import BgpSection, bgp_sections
from lab.configs.frr.next_hops import received_next_hops, sent_next_hops
from lab.configs.frr.policy import Policies
from lab.configs.frr.statements import Statement, statements
from lab.configs.frr.zebra import static_routes
from lab.configs.routing.acceptance import Acceptance, Lengths, Policy, accept_covering
from lab.configs.routing.facts import BgpNeighbor, InteriorInterface, StaticRoute
from lab.configs.routing.judged import EVERY, Direction, Gap, NextHops, Obstacle, RouteSource
from lab.core.prefixes import FAMILIES, Address, Family, Prefix, family_of

_HOLD = {"traditional": 180, "datacenter": 9}
"""FRR's hold times by the profile of `frr defaults` (docs.frrouting.org, BGP, `timers bgp`)."""
_POLICY_REQUIRED_SINCE = (7, 4)
"""The version of FRR whose `frr version` line, or a newer one, requires policies for eBGP."""
_NAMES: dict[Family, str] = {"ipv4": "IPv4", "ipv6": "IPv6"}
_MISSING: dict[Direction, str] = {"out": "is announced", "in": "accepted"}
_JUDGED = ("bgp", *PROTOCOLS, "id")  # `router id` is not a protocol


@dataclass(frozen=True)
class FrrConfiguration:
    """The statements of a frr.conf, or of all files of a host's daemons."""

    name: str
    statements: tuple[Statement, ...]
    absent: tuple[str, ...] = ()
    """The files of daemons that may run, and whose file is not at hand; empty for an integrated file."""
    quagga: bool = False
    """True for files of Quagga, which does not have `frr defaults` and does not require a policy."""

    @property
    def first(self) -> Spot:
        """The line of the first `router` section."""
        return next((s.spot for s in self.statements if s.section.startswith("router ")), Spot(self.name, 1))

    def no_policy_needed(self, neighbor: BgpNeighbor) -> str:
        """Return the reason why an eBGP session needs no policy (`bgp ebgp-requires-policy`); empty if it does."""
        if self.quagga:
            return "Quagga requires no policy"
        why = "" if self._profile != "datacenter" else "the datacenter profile requires no policy"
        if not why and (version := self._version) is not None and version < _POLICY_REQUIRED_SINCE:
            why = f"`frr version {version[0]}.{version[1]}` keeps the default of that version, which requires no policy"
        for s in self._section(neighbor).options("ebgp-requires-policy"):
            why = "`no bgp ebgp-requires-policy`" if s.negated else ""
        return why

    @cached_property
    def bgp(self) -> tuple[BgpSection, ...]:
        """The BGP instances."""
        return tuple(bgp_sections(self.statements, _HOLD.get(self._profile, _HOLD["traditional"])))

    @cached_property
    def neighbors(self) -> tuple[BgpNeighbor, ...]:
        """All neighbours and ranges, without peer groups."""
        found = ((n, section.bfd_lines(n.name)) for section in self.bgp for n in section.neighbors)
        return tuple(with_timers(n, lines, self.statements) for n, lines in found)

    @cached_property
    def interior(self) -> tuple[InteriorInterface, ...]:
        """Where OSPF and RIP run."""
        return interior_interfaces(self.statements)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The lines of protocols that are not judged or not understood, and missing files of daemons."""
        found: list[Gap] = []
        for s in self.statements:
            match s.section.split()[:2], s.words:
                case _, ("router", name, *_) if name not in _JUDGED:
                    found.append(Gap(f"{name} runs, which `lab advise` does not judge", s.spot, bgp=False))
                case ["interface", _], ("ip" | "ipv6", "router", name, *_):
                    found.append(Gap(f"{name} runs, which `lab advise` does not judge", s.spot, bgp=False))
                case ["interface", _], ("ip" | "ipv6", "nhrp", *_):
                    found.append(Gap("nhrp runs, which `lab advise` does not judge", s.spot, bgp=False))
                case ["router", "ospf"], ("network", *rest) if "area" not in rest[1:]:
                    found.append(Gap(f"`{s}` is not understood", s.spot, bgp=False))
                case ["router", name], _ if name in _JUDGED and not is_known(s):
                    found.append(Gap(f"`{s}` is not understood", s.spot, bgp=name == "bgp"))
        if self.absent:
            why = f"{self.name} is the file of one daemon, and {self.absent[0]} is not given"
            found.append(Gap(why, self.first, bgp="bgpd.conf" in self.absent))
        return tuple(found)

    @property
    def other_bfd(self) -> tuple[Spot, ...]:
        """The lines by which other protocols than BGP have BFD."""
        kinds = ("interface", "router", "vrf", "")
        found = [s for s in self.statements if "bfd" in s.words[1:] and not s.negated]
        found = [s for s in found if (s.section.split() or [""])[0] in kinds and s.words[0] != "neighbor"]
        rip = [s for s in self.statements if s.section.startswith("router rip") and s.words[0] == "bfd"]
        return tuple(s.spot for s in (*found, *rip))

    def next_hops(self, neighbor: BgpNeighbor, family: Family, direction: Direction) -> NextHops:
        """Return the next hops, other than a router's own address, of routes from a neighbour or to it."""
        maps = [s for s in self._policies(neighbor, family, direction) if s.words[2] == "route-map"]
        known = [s for s in self.statements if not maps or s.spot.file == maps[0].spot.file]
        if direction == "in":
            return received_next_hops(maps, known)
        elsewhere = [n for n in self.neighbors if n.name != neighbor.name and not n.disabled and n.vrf == neighbor.vrf]
        return sent_next_hops(self._section(neighbor), neighbor, family, maps, known, elsewhere=bool(elsewhere))

    @cached_property
    def static_routes(self) -> tuple[StaticRoute, ...]:
        """The static routes."""
        return static_routes(self.statements)

    @property
    def static_prefixes(self) -> frozenset[Prefix]:
        """The prefixes of static routes, which precede BGP's routes to the same prefix."""
        return frozenset(route.prefix for route in self.static_routes if route.vrf is None)

    def missing_policies(self, neighbor: BgpNeighbor) -> list[str]:
        """Return what an eBGP session does not carry without a policy, as `IPv4 is announced`."""
        return [
            f"{_NAMES[family]} {what}"
            for family in FAMILIES
            if family in neighbor.families and not self._by_default_only(neighbor, family)
            for direction, what in _MISSING.items()
            if not self._policies(neighbor, family, direction)
        ]

    def undefined_policies(self, neighbor: BgpNeighbor) -> list[Obstacle]:
        """Return the policies that a neighbour names and that are not defined: they reject every route."""
        return [
            Obstacle(
                f"`{s.words[2]} {s.words[3]}` is not defined for {_NAMES[family]}: no {_NAMES[family]} {what}", s.spot
            )
            for family in FAMILIES
            if family in neighbor.families and not self._by_default_only(neighbor, family)
            for direction, what in _MISSING.items()
            for s in self._policies(neighbor, family, direction)
            if self._rules(s).defines(s, family) is False
        ]

    def carries_nothing(self, neighbor: BgpNeighbor, family: Family, direction: Direction) -> Obstacle | None:
        """Return the reason why a session carries no route of a family, whatever its prefix; None if it may."""
        if family not in neighbor.families:
            return Obstacle(f"the session with {neighbor.name} does not carry {_NAMES[family]}", neighbor.spot)
        policies = self._policies(neighbor, family, direction)
        if not policies and neighbor.external and not self.no_policy_needed(neighbor):
            return Obstacle(f"the eBGP session with {neighbor.name} has no policy (RFC 8212)", neighbor.spot)
        undefined = (s for s in policies if self._rules(s).defines(s, family) is False)
        found = next(undefined, None)
        return Obstacle(f"`{found.words[2]} {found.words[3]}` is not defined", found.spot) if found else None

    def accepts(self, neighbor: BgpNeighbor, address: Address, lengths: Lengths = EVERY) -> Acceptance:
        """Check if a route that covers `address`, with one of the lengths, passes the inbound policy."""
        family = family_of(address)
        if family not in neighbor.families:
            return Acceptance(None, "", (neighbor.spot,), f"its session does not carry {_NAMES[family]}")
        inbound = self._policies(neighbor, family, "in")
        if not inbound and not self.no_policy_needed(neighbor):
            if neighbor.external:
                return Acceptance(None, "", (neighbor.spot,), "eBGP without a policy accepts no route (RFC 8212)")
            if neighbor.external is None:
                return Acceptance(None, "the neighbour has no remote-as", (neighbor.spot,), "")
        kernel = self._kernel_maps("bgp", address)
        spots = tuple(s.spot for s in (*inbound, *kernel)) or (neighbor.spot,)
        passes: list[Policy] = [partial(self._rules(s).passes, s) for s in inbound]
        passes += [partial(self._rules(s).into_kernel, s.words[-1]) for s in kernel]
        return accept_covering(address, lengths, passes, spots)

    def announces(self, neighbor: BgpNeighbor, prefix: Prefix, source: RouteSource) -> bool | None:
        """Return whether a prefix of the RIB passes the outbound policy to a neighbour; None if unknown."""
        family = family_of(prefix)
        if neighbor.disabled or family not in neighbor.families:
            return False
        answers = [self._rules(s).passes(s, prefix) for s in self._policies(neighbor, family, "out")]
        if not answers and not self.no_policy_needed(neighbor) and neighbor.external is not False:
            return False if neighbor.external else None
        if self._section(neighbor).has_option(neighbor, "advertise-map") or self._is_aggregated(prefix):
            answers.append(None)
        if source == "connected":
            answers.append(self._redistributes_connected(prefix, neighbor.vrf))
        return False if False in answers else None if None in answers else True

    def _is_aggregated(self, prefix: Prefix) -> bool:
        """Return True for a prefix that `aggregate-address` may suppress."""
        aggregates = [s for s in self.statements if s.words[0] == "aggregate-address" and len(s.words) > 1]
        suppressing = [s for s in aggregates if {"summary-only", "suppress-map"} & {*s.words}]
        found = [network for s in suppressing if (network := _network(s.words[1])) is not None]
        return any(n.version == prefix.version and prefix != n and prefix.network_address in n for n in found)

    def _kernel_maps(self, protocol: str, address: Address) -> list[Statement]:
        """Return the line that names the route map for a protocol's routes on their way into the kernel.

        The last line for a protocol is in effect, and that for `any` if the protocol has none.
        """
        start = ("ip" if address.version == 4 else "ipv6", "protocol")
        found = [s for s in self.statements if s.words[:2] == start and s.words[3:4] == ("route-map",)]
        found = [s for s in found if len(s.words) == 5 and s.vrf is None]
        mine = [[s for s in found if s.words[2] == of] for of in (protocol, "any")]
        return (mine[0] or mine[1])[-1:]

    def _redistributes_connected(self, prefix: Prefix, vrf: str | None) -> bool | None:
        """Return whether BGP takes the network of an interface (`redistribute connected`)."""
        for s in self.statements:
            if (
                s.section.startswith("router bgp")
                and s.words[:2] == ("redistribute", "connected")
                and (s.family or "ipv4") == family_of(prefix)
                and s.vrf == vrf
            ):
                name = s.words[s.words.index("route-map") + 1] if "route-map" in s.words[:-1] else ""
                return self._rules(s).through_map(name, prefix) if name else True
        return False

    def installs(self, found: InteriorInterface, address: Address, device: str, lengths: Lengths = EVERY) -> Acceptance:
        """Check if zebra installs a route of OSPF or RIP, through a device, that covers `address`.

        Both accept every route; `ip protocol ospf route-map NAME` filters those for the kernel.
        """
        protocol, spot = found.protocol, found.spot
        version = 6 if protocol in ("ospf6", "ripng") else 4
        if version != address.version:
            return Acceptance(None, "", (spot,), f"{protocol} has no IPv{address.version} routes")
        maps = self._kernel_maps(protocol, address)
        lists = [s for s in self.statements if s.section.split()[:2] == ["router", protocol]]
        if unread := next((s for s in lists if s.words[0] == "distribute-list"), None):
            return Acceptance(None, f"`{' '.join(unread.words)}` is not judged", (unread.spot,), "")
        passes = [partial(self._rules(s).into_kernel, s.words[4], device=device) for s in maps]
        return accept_covering(address, lengths, passes, tuple(s.spot for s in maps) or (spot,))

    def _by_default_only(self, neighbor: BgpNeighbor, family: Family) -> bool:
        """Return True for IPv4 with an IPv6 neighbour that only the default activates, beside an activated family."""
        section = self._section(neighbor)
        return (
            neighbor.address is not None
            and family_of(neighbor.address) != family
            and not section.activated(neighbor, family)
            and any(section.activated(neighbor, other) for other in FAMILIES if other != family)
            and not any(section.policies(neighbor, family, direction) for direction in _MISSING)
        )

    def _policies(self, neighbor: BgpNeighbor, family: Family, direction: Direction) -> list[Statement]:
        return self._section(neighbor).policies(neighbor, family, direction)

    def _section(self, neighbor: BgpNeighbor) -> BgpSection:
        return next(section for section in self.bgp if section.vrf == neighbor.vrf and section.has(neighbor))

    def _rules(self, user: Statement) -> Policies:
        """Return the policies in the file of a line: a daemon with a file of its own knows those in it alone."""
        return self._rules_by_file[user.spot.file]

    @cached_property
    def _rules_by_file(self) -> dict[str, Policies]:
        files = {s.spot.file for s in self.statements}
        return {file: Policies(tuple(s for s in self.statements if s.spot.file == file)) for file in files}

    @cached_property
    def _profile(self) -> str:
        found = [s.words[2] for s in self.statements if s.words[:2] == ("frr", "defaults") and len(s.words) > 2]
        return found[-1] if found else "traditional"

    @cached_property
    def _version(self) -> tuple[int, int] | None:
        """The version in `frr version 10.3`, which selects defaults."""
        texts = [s.words[2] for s in self.statements if s.words[:2] == ("frr", "version") and len(s.words) > 2]
        match = re.match(r"(\d{1,4})\.(\d{1,4})(?!\d)", texts[-1], re.ASCII) if texts else None
        return (int(match[1]), int(match[2])) if match else None


def _network(text: str) -> Prefix | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def parse(text: str, name: str) -> FrrConfiguration:
    """Parse the text of a file."""
    return configuration(statements(text, name), name)


def configuration(found: Iterable[Statement], name: str, *, quagga: bool = False) -> FrrConfiguration:
    """Return a configuration of statements."""
    return FrrConfiguration(name, tuple(found), quagga=quagga)
