"""Reader of the parts of frr.conf that concern BGP over a tunnel: neighbours, timers and policies.

As in vtysh, a command of another level ends a section; indentation has no meaning.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath
from typing import Literal

from lab.advise.disk import Disk, Spot
from lab.advise.numbers import is_number
from lab.core.prefixes import family_of
from lab.topology import Address, Family, Prefix

_TOP = re.compile(
    r"(no )?(router|route-map|ip|ipv6|interface|vrf|line|bfd|key|access-list|frr|hostname|log|service|password|debug|"
    r"end|agentx|rpki|pbr-map|nexthop-group|segment-routing|banner|domainname|zebra|mac|username|enable|allow-external)\b"
)
_HOLD = {"traditional": 180, "datacenter": 9}
"""FRR's hold times by the profile of `frr defaults` (docs.frrouting.org, BGP, `timers bgp`)."""


@dataclass(frozen=True)
class Statement:
    """A line of frr.conf with its sections."""

    section: str
    """`router bgp 65001`, `route-map X permit 10`, or empty."""
    family: Family | None
    """The family of the `address-family … unicast` section, if the line is in one."""
    words: tuple[str, ...]
    spot: Spot


@dataclass(frozen=True)
class PrefixRule:
    """An entry of a prefix-list."""

    sequence: int
    permit: bool
    prefix: Prefix | None
    """None for `any`."""
    shortest: int | None
    longest: int | None

    def matches(self, prefix: Prefix) -> bool:
        """Return True if the entry matches: `ge` and `le` bound the length; by default it is the entry's."""
        if self.prefix is None:
            return True
        if self.prefix.version != prefix.version or prefix.prefixlen < self.prefix.prefixlen:
            return False
        if prefix.network_address not in self.prefix:
            return False
        if self.shortest is None and self.longest is None:
            return prefix.prefixlen == self.prefix.prefixlen
        shortest = self.prefix.prefixlen if self.shortest is None else self.shortest
        longest = prefix.max_prefixlen if self.longest is None else self.longest
        return shortest <= prefix.prefixlen <= longest


@dataclass(frozen=True)
class Neighbor:
    """A BGP neighbour, by address or interface."""

    name: str
    spot: Spot
    remote_as: str | None
    hold: int
    """The hold time that this side proposes, in seconds."""
    hold_spot: Spot | None
    """The line that sets it; None for FRR's default."""

    @property
    def address(self) -> Address | None:
        """The neighbour's address; None for an interface."""
        try:
            return ip_address(self.name.partition("%")[0])
        except ValueError:
            return None


@dataclass(frozen=True)
class Acceptance:
    """The result of `accepts` and `installs`: if a route that covers an address is accepted, and why."""

    accepted: Prefix | None
    """A prefix that is accepted for certain; None if there is none."""
    unknown: str
    """The reason why the answer is unknown; empty if it is known."""
    spots: tuple[Spot, ...]
    why: str


@dataclass(frozen=True)
class FrrConfiguration:
    """The statements of a frr.conf."""

    name: str
    statements: tuple[Statement, ...]

    @property
    def other_protocols(self) -> list[Statement]:
        """The `router` lines of other protocols than BGP."""
        return [s for s in self.statements if s.words[0] == "router" and s.words[1:2] != ("bgp",)]

    @property
    def first(self) -> Spot:
        """The line of the first `router` section."""
        return next((s.spot for s in self.statements if s.section.startswith("router ")), Spot(self.name, 1))

    @property
    def requires_policy(self) -> bool:
        """True with `bgp ebgp-requires-policy`, which is the default except in the datacenter profile."""
        required = self._profile != "datacenter"
        for statement in self._bgp():
            if statement.words[-2:] == ("bgp", "ebgp-requires-policy"):
                required = statement.words[0] != "no"
        return required

    @property
    def neighbors(self) -> list[Neighbor]:
        """All neighbours, without peer groups."""
        groups = {s.words[1] for s in self._bgp() if s.words[0] == "neighbor" and s.words[2:] == ("peer-group",)}
        found: dict[str, Neighbor] = {}
        for s in self._bgp():
            if s.words[0] == "neighbor" and len(s.words) > 2 and s.words[1] not in groups and s.words[1] not in found:
                found[s.words[1]] = self._neighbor(s.words[1], s.spot)
        return list(found.values())

    @property
    def static_routes(self) -> frozenset[Prefix]:
        """The prefixes of static routes, which precede BGP's routes to the same prefix."""
        found = set()
        for s in self.statements:
            if s.words[:2] in (("ip", "route"), ("ipv6", "route")) and len(s.words) > 2 and (p := _prefix(s.words[2])):
                found.add(p)
        return frozenset(found)

    def external(self, neighbor: Neighbor) -> bool | None:
        """Return True for eBGP, False for iBGP, None if unknown."""
        own = next((s.section.split()[2] for s in self._bgp() if len(s.section.split()) > 2), None)
        if neighbor.remote_as in ("external", "internal"):
            return neighbor.remote_as == "external"
        return None if neighbor.remote_as is None or own is None else neighbor.remote_as != own

    def active(self, neighbor: Neighbor, family: Family) -> bool:
        """Return True if a session carries a family."""
        active = family == "ipv4"
        for s in self._bgp():
            if family == "ipv4" and s.words[-2:] == ("default", "ipv4-unicast"):
                active = s.words[0] != "no"
        for s in self._statements_of(neighbor.name, family, "activate"):
            active = s.words[0] != "no"
        return active

    def policies(self, neighbor: Neighbor, family: Family, direction: Literal["in", "out"]) -> list[Statement]:
        """Return the policies for routes from a neighbour (`in`) or to it (`out`)."""
        return [
            s
            for kind in ("prefix-list", "route-map", "filter-list", "distribute-list")
            for s in self._statements_of(neighbor.name, family, kind)
            if s.words[0] == "neighbor" and s.words[-1] == direction
        ]

    def accepts(self, neighbor: Neighbor, address: Address, shortest: int = 0) -> Acceptance:
        """Check if a route that covers `address`, with a length from `shortest` on, passes the inbound policy."""
        family = family_of(address)
        if not self.active(neighbor, family):
            return Acceptance(None, "", (neighbor.spot,), f"its session does not carry {_NAMES[family]}")
        policies = self.policies(neighbor, family, "in")
        if not policies:
            if self.requires_policy and self.external(neighbor):
                return Acceptance(None, "", (neighbor.spot,), "eBGP without a policy accepts no route (RFC 8212)")
            if self.requires_policy and self.external(neighbor) is None:
                return Acceptance(None, "the neighbour has no remote-as", (neighbor.spot,), "")
        spots = tuple(s.spot for s in policies) or (neighbor.spot,)
        return self._covering(address, shortest, [partial(self._passes, policy) for policy in policies], spots)

    def installs(self, protocol: Statement, address: Address, device: str, shortest: int = 0) -> Acceptance:
        """Check if zebra installs a route of another protocol, through a device, that covers `address`.

        OSPF and RIP accept every route; `ip protocol ospf route-map NAME` filters those for the kernel.
        """
        name = protocol.words[1] if len(protocol.words) > 1 else ""
        ip = {"ospf": 4, "rip": 4, "ospf6": 6, "ripng": 6}.get(name)
        if ip is None:
            return Acceptance(None, f"{name} runs, which `lab advise` does not judge", (protocol.spot,), "")
        if ip != address.version:
            return Acceptance(None, "", (protocol.spot,), f"{name} has no IPv{address.version} routes")
        start = ("ip" if ip == 4 else "ipv6", "protocol")
        maps = [
            s
            for s in self.statements
            if s.words[:2] == start and s.words[2:3] in ((name,), ("any",)) and s.words[3:4] == ("route-map",)
        ]
        passes = [partial(self._through_map, s.words[4], device=device) for s in maps if len(s.words) == 5]
        return self._covering(address, shortest, passes, tuple(s.spot for s in maps) or (protocol.spot,))

    def _covering(
        self,
        address: Address,
        shortest: int,
        policies: Sequence[Callable[[Prefix], bool | None]],
        spots: tuple[Spot, ...],
    ) -> Acceptance:
        """Check if a prefix that covers an address, with a length from `shortest` on, passes all policies."""
        unknown = ""
        for length in range(shortest, address.max_prefixlen + 1):
            prefix = ip_network(f"{address}/{length}", strict=False)
            outcomes = [passes(prefix) for passes in policies]
            if all(outcome is True for outcome in outcomes):
                return Acceptance(prefix, "", spots, f"{prefix} passes" if policies else "no policy filters it")
            if all(outcome is not False for outcome in outcomes):
                unknown = "its policy has parts that are unknown, or not defined in this file"
        return Acceptance(None, unknown, spots, "its policy accepts no such route")

    def _passes(self, policy: Statement, prefix: Prefix) -> bool | None:
        kind, name = policy.words[2], policy.words[3] if len(policy.words) > 3 else ""
        if kind == "prefix-list":
            return self._in_list(name, prefix)
        return self._through_map(name, prefix) if kind == "route-map" else None

    def _in_list(self, name: str, prefix: Prefix) -> bool | None:
        rules = self._prefix_list(name, prefix.version)
        if rules is None or not rules:
            return None
        return next((rule.permit for rule in rules if rule.matches(prefix)), False)

    def _prefix_list(self, name: str, version: int) -> list[PrefixRule] | None:
        """Return the entries of a prefix list in order; None if one of them is unknown."""
        start = ("ip" if version == 4 else "ipv6", "prefix-list", name)
        rules: list[PrefixRule] = []
        for s in self.statements:
            if s.words[:3] != start or s.words[3:4] == ("description",):
                continue
            rule = _prefix_rule(s.words[3:], rules[-1].sequence + 5 if rules else 5)
            if rule is None:
                return None
            rules.append(rule)
        return sorted(rules, key=lambda rule: rule.sequence)

    def _through_map(self, name: str, prefix: Prefix, device: str | None = None) -> bool | None:
        entries: dict[tuple[int, bool], list[tuple[str, ...]]] = {}
        for s in self.statements:
            section = s.section.split()
            if section[:2] == ["route-map", name] and len(section) == 4 and is_number(section[3]):
                clauses = entries.setdefault((int(section[3]), section[2] == "permit"), [])
                if s.words[0] != "route-map":
                    clauses.append(s.words)
        if not entries:
            return None
        outcomes: set[bool] = set()
        for (_, permit), clauses in sorted(entries.items()):
            if any(c[0] in ("call", "continue", "on-match") for c in clauses):
                return None
            matches = [self._clause(c, prefix, device) for c in clauses if c[0] == "match"]
            if False in matches:
                continue
            outcomes.add(permit)
            if None not in matches:
                break
        else:
            outcomes.add(False)
        return outcomes.pop() if len(outcomes) == 1 else None

    def _clause(self, clause: tuple[str, ...], prefix: Prefix, device: str | None) -> bool | None:
        if clause[1:2] == ("interface",) and len(clause) == 3 and device is not None:
            return clause[2] == device
        if clause[2:4] == ("address", "prefix-list") and len(clause) == 5 and clause[1] in ("ip", "ipv6"):
            if (clause[1] == "ip") != (prefix.version == 4):
                return False
            return self._in_list(clause[4], prefix)
        return None

    def _neighbor(self, name: str, spot: Spot) -> Neighbor:
        remote = [s.words for s in self._statements_of(name, None, "remote-as")]
        remote += [w for s in self._statements_of(name, None, "interface") if "remote-as" in (w := s.words)[:-1]]
        hold, at = _HOLD.get(self._profile, _HOLD["traditional"]), None
        for s in self._bgp():
            if s.words[:2] == ("timers", "bgp") and len(s.words) == 4 and is_number(s.words[3]):
                hold, at = int(s.words[3]), s.spot
        for s in self._statements_of(name, None, "timers"):
            if s.words[0] == "neighbor" and len(s.words) == 5 and is_number(s.words[3]) and is_number(s.words[4]):
                hold, at = int(s.words[4]), s.spot
        asn = remote[-1][remote[-1].index("remote-as") + 1 :][:1] if remote else ()
        return Neighbor(name, spot, asn[0] if asn else None, hold, at)

    def _statements_of(self, name: str, family: Family | None, what: str) -> list[Statement]:
        """Return the statements about a neighbour and its peer group, the group's first, including `no`."""
        groups = [
            s.words[3] for s in self._bgp() if s.words[:3] == ("neighbor", name, "peer-group") and len(s.words) > 3
        ] + [
            s.words[s.words.index("peer-group") + 1]
            for s in self._bgp()
            if s.words[:3] == ("neighbor", name, "interface") and "peer-group" in s.words[:-1]
        ]
        found = []
        for of in (*groups, name):
            for s in self._bgp():
                words = s.words[1:] if s.words[0] == "no" else s.words
                # Outside an address-family section, a statement of one is for IPv4.
                here = s.family or ("ipv4" if family else None)
                if words[:2] == ("neighbor", of) and what in words[2:3] and (family is None or here == family):
                    found.append(s)
        return found

    def _bgp(self) -> Iterator[Statement]:
        return (s for s in self.statements if s.section.startswith("router bgp"))

    @property
    def _profile(self) -> str:
        profile = "traditional"
        for s in self.statements:
            if s.words[:2] == ("frr", "defaults") and len(s.words) > 2:
                profile = s.words[2]
        return profile


_NAMES: dict[Family, str] = {"ipv4": "IPv4", "ipv6": "IPv6"}
_UNICAST: dict[tuple[str, ...], Family] = {
    ("ipv4",): "ipv4",
    ("ipv4", "unicast"): "ipv4",
    ("ipv6",): "ipv6",
    ("ipv6", "unicast"): "ipv6",
}


_OTHER_FAMILY = "router of another address family"


def looks_like_frr(text: str) -> bool:
    """Return True for a text with sections that FRR has and OpenVPN does not."""
    return re.search(r"(?m)^\s*(frr (version|defaults)|router (bgp|ospf6?|rip|ripng|isis|eigrp)\b)", text) is not None


def read(path: PurePosixPath, disk: Disk | None = None) -> FrrConfiguration:
    """Read a frr.conf; raises `Unreadable`."""
    disk = disk or Disk()
    return parse(disk.text(path), disk.name(path))


def parse(text: str, name: str) -> FrrConfiguration:
    """Parse the text of a file."""
    return FrrConfiguration(name, tuple(_statements(text, name)))


def _statements(text: str, name: str) -> Iterator[Statement]:
    section = ""
    family: Family | None = None
    router = ""
    for number, line in enumerate(text.split("\n"), 1):
        words = tuple(line.split())
        if not words or words[0].startswith(("!", "#")):
            continue
        plain = " ".join(words)
        in_route_map = section.startswith("route-map") and words[0] in ("match", "set", "description")
        if _TOP.match(plain) and not in_route_map:
            section = plain if words[0] in ("router", "route-map", "interface", "vrf") else ""
            family, router = None, section
        elif words[0] == "address-family" and router.startswith("router"):
            family = _UNICAST.get(words[1:])
            section = router if family else _OTHER_FAMILY
        elif words[0] == "exit-address-family" or (words[0] == "exit" and (family or section == _OTHER_FAMILY)):
            section, family = router, None
            continue
        elif words[0] == "exit":
            section = router = ""
            continue
        yield Statement(section, family, words, Spot(name, number))


def _prefix_rule(words: tuple[str, ...], sequence: int) -> PrefixRule | None:
    try:
        if words[0] == "seq":
            sequence, words = int(words[1]), words[2:]
        permit = {"permit": True, "deny": False}[words[0]]
        if words[1] == "any":
            return PrefixRule(sequence, permit, None, None, None)
        bounds = dict(zip(words[2::2], words[3::2], strict=True))
        if set(bounds) - {"ge", "le"}:
            return None
        shortest, longest = (int(bounds[key]) if key in bounds else None for key in ("ge", "le"))
        return PrefixRule(sequence, permit, ip_network(words[1], strict=False), shortest, longest)
    except (ValueError, KeyError, IndexError):
        return None


def _prefix(text: str) -> Prefix | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
