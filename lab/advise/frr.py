"""Reads frr.conf as far as BGP over a tunnel needs it: neighbours, their timers, and what they may announce to us.

Which section a line belongs to is told by the commands themselves, as vtysh tells it; indentation means nothing.
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
    """A line of frr.conf with the sections it stands in."""

    section: str
    """`router bgp 65001`, `route-map X permit 10`, or empty."""
    family: Family | None
    """Within `address-family … unicast`."""
    words: tuple[str, ...]
    spot: Spot


@dataclass(frozen=True)
class PrefixRule:
    """An entry of a prefix-list."""

    sequence: int
    permit: bool
    prefix: Prefix | None
    """None stands for `any`."""
    shortest: int | None
    longest: int | None

    def matches(self, prefix: Prefix) -> bool:
        """FRR's rule: `ge` and `le` bound the length, and without them it is the entry's own."""
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
    """Seconds that this side proposes."""
    hold_spot: Spot | None
    """Where it is said; None where it is FRR's default."""

    @property
    def address(self) -> Address | None:
        """Its address; None for an interface."""
        try:
            return ip_address(self.name.partition("%")[0])
        except ValueError:
            return None


@dataclass(frozen=True)
class Acceptance:
    """Whether a neighbour may announce us a route that covers an address."""

    accepted: Prefix | None
    """A prefix that passes, where one is sure to."""
    unknown: str
    """Why it cannot be told; empty where it can."""
    spots: tuple[Spot, ...]
    why: str


@dataclass(frozen=True)
class FrrConfiguration:
    """What a frr.conf says."""

    name: str
    statements: tuple[Statement, ...]

    @property
    def other_protocols(self) -> list[Statement]:
        """Where protocols other than BGP are configured."""
        return [s for s in self.statements if s.words[0] == "router" and s.words[1:2] != ("bgp",)]

    @property
    def first(self) -> Spot:
        """Where routing begins."""
        return next((s.spot for s in self.statements if s.section.startswith("router ")), Spot(self.name, 1))

    @property
    def requires_policy(self) -> bool:
        """`bgp ebgp-requires-policy`: the default, but of the datacenter profile."""
        required = self._profile != "datacenter"
        for statement in self._bgp():
            if statement.words[-2:] == ("bgp", "ebgp-requires-policy"):
                required = statement.words[0] != "no"
        return required

    @property
    def neighbors(self) -> list[Neighbor]:
        """All neighbours; peer groups are none."""
        groups = {s.words[1] for s in self._bgp() if s.words[0] == "neighbor" and s.words[2:] == ("peer-group",)}
        found: dict[str, Neighbor] = {}
        for s in self._bgp():
            if s.words[0] == "neighbor" and len(s.words) > 2 and s.words[1] not in groups and s.words[1] not in found:
                found[s.words[1]] = self._neighbor(s.words[1], s.spot)
        return list(found.values())

    @property
    def fixed(self) -> frozenset[Prefix]:
        """Static routes: they win over BGP's for the same prefix."""
        found = set()
        for s in self.statements:
            if s.words[:2] in (("ip", "route"), ("ipv6", "route")) and len(s.words) > 2 and (p := _prefix(s.words[2])):
                found.add(p)
        return frozenset(found)

    def external(self, neighbor: Neighbor) -> bool | None:
        """True of eBGP, False of iBGP, None where it cannot be told."""
        own = next((s.section.split()[2] for s in self._bgp() if len(s.section.split()) > 2), None)
        if neighbor.remote_as in ("external", "internal"):
            return neighbor.remote_as == "external"
        return None if neighbor.remote_as is None or own is None else neighbor.remote_as != own

    def active(self, neighbor: Neighbor, family: Family) -> bool:
        """True where a session carries a family."""
        active = family == "ipv4"
        for s in self._bgp():
            if family == "ipv4" and s.words[-2:] == ("default", "ipv4-unicast"):
                active = s.words[0] != "no"
        for s in self._said_of(neighbor.name, family, "activate"):
            active = s.words[0] != "no"
        return active

    def policies(self, neighbor: Neighbor, family: Family, direction: Literal["in", "out"]) -> list[Statement]:
        """The policies of what a neighbour announces to us, or we to it."""
        return [
            s
            for kind in ("prefix-list", "route-map", "filter-list", "distribute-list")
            for s in self._said_of(neighbor.name, family, kind)
            if s.words[0] == "neighbor" and s.words[-1] == direction
        ]

    def accepts(self, neighbor: Neighbor, address: Address, shortest: int = 0) -> Acceptance:
        """Whether a route that covers `address`, of a length from `shortest` on, passes the inbound policy."""
        family = family_of(address)
        if not self.active(neighbor, family):
            return Acceptance(None, "", (neighbor.spot,), f"its session carries no {_NAMES[family]}")
        policies = self.policies(neighbor, family, "in")
        if not policies:
            if self.requires_policy and self.external(neighbor):
                return Acceptance(None, "", (neighbor.spot,), "eBGP without a policy accepts nothing (RFC 8212)")
            if self.requires_policy and self.external(neighbor) is None:
                return Acceptance(None, "its AS is not said", (neighbor.spot,), "")
        spots = tuple(s.spot for s in policies) or (neighbor.spot,)
        return self._covering(address, shortest, [partial(self._passes, policy) for policy in policies], spots)

    def uses(self, protocol: Statement, address: Address, device: str, shortest: int = 0) -> Acceptance:
        """Whether zebra takes a route of a protocol other than BGP, out of a device, that covers `address`.

        What OSPF and RIP hear they believe; `ip protocol ospf route-map NAME` decides what the kernel gets of it.
        """
        name = protocol.words[1] if len(protocol.words) > 1 else ""
        ip = {"ospf": 4, "rip": 4, "ospf6": 6, "ripng": 6}.get(name)
        if ip is None:
            return Acceptance(None, f"{name} runs, which is not judged here", (protocol.spot,), "")
        if ip != address.version:
            return Acceptance(None, "", (protocol.spot,), f"{name} brings no IPv{address.version}")
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
        """Whether a prefix that covers an address, of a length from `shortest` on, passes all policies."""
        doubt = ""
        for length in range(shortest, address.max_prefixlen + 1):
            prefix = ip_network(f"{address}/{length}", strict=False)
            outcomes = [passes(prefix) for passes in policies]
            if all(outcome is True for outcome in outcomes):
                return Acceptance(prefix, "", spots, f"{prefix} passes" if policies else "no policy filters it")
            if all(outcome is not False for outcome in outcomes):
                doubt = "its policy has parts that are not understood here, or not defined in this file"
        return Acceptance(None, doubt, spots, "its policy lets no such route in")

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
        """Its entries in order; None where one of them is not understood."""
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
        remote = [s.words for s in self._said_of(name, None, "remote-as")]
        remote += [w for s in self._said_of(name, None, "interface") if "remote-as" in (w := s.words)[:-1]]
        hold, at = _HOLD.get(self._profile, _HOLD["traditional"]), None
        for s in self._bgp():
            if s.words[:2] == ("timers", "bgp") and len(s.words) == 4 and is_number(s.words[3]):
                hold, at = int(s.words[3]), s.spot
        for s in self._said_of(name, None, "timers"):
            if s.words[0] == "neighbor" and len(s.words) == 5 and is_number(s.words[3]) and is_number(s.words[4]):
                hold, at = int(s.words[4]), s.spot
        asn = remote[-1][remote[-1].index("remote-as") + 1 :][:1] if remote else ()
        return Neighbor(name, spot, asn[0] if asn else None, hold, at)

    def _said_of(self, name: str, family: Family | None, what: str) -> list[Statement]:
        """Statements about a neighbour or its peer group, the group's first; `no` counts as well."""
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
                # Outside of an address-family, what has one is meant for IPv4.
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


_OTHER = "router of another address family"


def looks_like_frr(text: str) -> bool:
    """True of a text that OpenVPN would not understand, and FRR would."""
    return re.search(r"(?m)^\s*(frr (version|defaults)|router (bgp|ospf6?|rip|ripng|isis|eigrp)\b)", text) is not None


def read(path: PurePosixPath, disk: Disk | None = None) -> FrrConfiguration:
    """Read a frr.conf; raises `Unreadable`."""
    disk = disk or Disk()
    return parse(disk.text(path), disk.name(path))


def parse(text: str, name: str) -> FrrConfiguration:
    """Read a text that stands in a file."""
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
            section = router if family else _OTHER
        elif words[0] == "exit-address-family" or (words[0] == "exit" and (family or section == _OTHER)):
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
