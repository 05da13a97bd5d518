"""FRR's prefix lists and route maps, as far as they filter by prefix and interface.

A neighbour's policy that is not defined rejects every route (`bgp_input_filter`, `bgp_input_modifier` and
`subgroup_announce_check` in bgp_route.c; seen on 10.3), and no session or log line shows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network

from lab.configs.frr.statements import Statement
from lab.configs.numbers import is_number
from lab.core.prefixes import FAMILIES, Family, Prefix, family_of

_IP: Mapping[Family, str] = {"ipv4": "ip", "ipv6": "ipv6"}
_HEADS = ("route-map", "prefix-list", "access-list", "as-path")
"""The words that begin the definition of a policy, after `ip` or `ipv6` for some."""


@dataclass(frozen=True)
class PrefixRule:
    """An entry of a prefix list."""

    sequence: int
    permit: bool
    prefix: Prefix | None
    """None for `any`."""
    shortest: int | None
    longest: int | None
    statement: Statement | None = None

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
class Policies:
    """The prefix lists and route maps of a configuration."""

    statements: tuple[Statement, ...]

    def passes(self, statement: Statement, prefix: Prefix) -> bool | None:
        """Return whether a prefix passes the policy of a `neighbor` statement; None if unknown."""
        kind, name = statement.words[2], statement.words[3] if len(statement.words) > 3 else ""
        if (defined := self.defines(statement, family_of(prefix))) is not True:
            return defined
        if kind == "prefix-list":
            return self._in_list(name, prefix)
        return self.through_map(name, prefix) if kind == "route-map" else None

    def defines(self, statement: Statement, family: Family) -> bool | None:
        """Return whether the policy that a `neighbor` statement names exists for a family; None if unknown."""
        return self._exists(statement.words[2], statement.words[3] if len(statement.words) > 3 else "", family)

    def _exists(self, kind: str, name: str, family: Family) -> bool | None:
        if (kind, name, family) in self._defined:
            return None if name in self._mentioned else True
        return None if name in self._mentioned else False

    @cached_property
    def _defined(self) -> set[tuple[str, str, Family]]:
        """The policies that are defined, by the word that applies them, their name and family."""
        found: set[tuple[str, str, Family]] = set()
        for s in self.statements:
            families: Sequence[Family] = FAMILIES
            match s.words:
                case ("route-map", name, "permit" | "deny", *_):
                    kind = "route-map"
                case ("ip" | "bgp", "as-path", "access-list", name, _, *_):
                    kind = "filter-list"
                case ("ip" | "ipv6" as word, "prefix-list" | "access-list" as what, name, _, *_):
                    kind = "prefix-list" if what == "prefix-list" else "distribute-list"
                    families = ("ipv6",) if word == "ipv6" else ("ipv4",)
                case ("access-list", name, _, *_):
                    kind, families = "distribute-list", ("ipv4",)
                case _:
                    continue
            found |= {(kind, name, family) for family in families}
        return found

    @cached_property
    def _mentioned(self) -> set[str]:
        """The words of lines that may define a policy, or remove it, in a form that is not read.

        Such are abbreviations, which FRR accepts, and `no route-map NAME`.
        """
        return {word for s in self.statements if _may_define(s) for word in s.plain[1:]}

    def rejecting(self, statement: Statement, prefix: Prefix) -> Statement | None:
        """Return the line of a `neighbor` statement's policy that rejects a prefix.

        It is the statement itself if no entry permits the prefix; None if the prefix passes, or if that is unknown.
        """
        if self.passes(statement, prefix) is not False:
            return None
        kind, name = statement.words[2], statement.words[3]
        found = self._list_entry(name, prefix) if kind == "prefix-list" else self._map_entry(name, prefix)
        return found or statement

    def _list_entry(self, name: str, prefix: Prefix) -> Statement | None:
        """Return the entry of a prefix list that matches a prefix first."""
        rules = self._lists.get(("ip" if prefix.version == 4 else "ipv6", name)) or []
        return next((rule.statement for rule in rules if rule.matches(prefix)), None)

    def _map_entry(self, name: str, prefix: Prefix) -> Statement | None:
        """Return the first entry of a route map that matches a prefix for certain, if it is a `deny`.

        Its first line is returned.
        """
        for (number, permit), clauses in sorted(self._maps.get(name, {}).items()):
            if all(self._clause(c, prefix, None) is True for c in clauses if c[0] == "match"):
                words = ("route-map", name, "permit" if permit else "deny", str(number))
                return next((s for s in self.statements if s.words == words), None) if not permit else None
        return None

    def into_kernel(self, name: str, prefix: Prefix, device: str | None = None) -> bool | None:
        """Return whether a prefix passes the route map of `ip protocol … route-map NAME`; None if unknown.

        Without the map, zebra of some versions installs every route and of others none (zebra_routemap.c of FRR).
        """
        return self.through_map(name, prefix, device) if name in self._maps else None

    def through_map(self, name: str, prefix: Prefix, device: str | None = None) -> bool | None:
        """Return whether a prefix passes a route map, for a route through a device; None if unknown."""
        if (defined := self._exists("route-map", name, family_of(prefix))) is not True:
            return defined
        entries = self._maps.get(name, {})
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

    def _in_list(self, name: str, prefix: Prefix) -> bool | None:
        family = family_of(prefix)
        if (defined := self._exists("prefix-list", name, family)) is not True:
            return defined
        rules = self._lists.get((_IP[family], name))
        return next((rule.permit for rule in rules if rule.matches(prefix)), False) if rules else None

    def _clause(self, clause: tuple[str, ...], prefix: Prefix, device: str | None) -> bool | None:
        if clause[1:2] == ("interface",) and len(clause) == 3 and device is not None:
            return clause[2] == device
        if clause[2:4] == ("address", "prefix-list") and len(clause) == 5 and clause[1] in ("ip", "ipv6"):
            return self._in_list(clause[4], prefix) if (clause[1] == "ip") == (prefix.version == 4) else False
        return None

    @cached_property
    def _lists(self) -> dict[tuple[str, str], list[PrefixRule] | None]:
        """The prefix lists in order; None if an entry is unknown."""
        found: dict[tuple[str, str], list[PrefixRule] | None] = {}
        for s in self.statements:
            if s.words[0] not in ("ip", "ipv6") or s.words[1:2] != ("prefix-list",) or len(s.words) < 4:
                continue
            if s.words[3] == "description":
                continue
            rules = found.setdefault((s.words[0], s.words[2]), [])
            if rules is None:
                continue
            rule = _prefix_rule(s, rules[-1].sequence + 5 if rules else 5)
            if rule is None:
                found[s.words[0], s.words[2]] = None
            else:
                rules.append(rule)
        return {key: rules and sorted(rules, key=lambda rule: rule.sequence) for key, rules in found.items()}

    @cached_property
    def _maps(self) -> dict[str, dict[tuple[int, bool], list[tuple[str, ...]]]]:
        """The clauses of route maps by sequence number and action."""
        found: dict[str, dict[tuple[int, bool], list[tuple[str, ...]]]] = {}
        for s in self.statements:
            section = s.section.split()
            if section[:1] == ["route-map"] and len(section) == 4 and is_number(section[3]):
                clauses = found.setdefault(section[1], {}).setdefault((int(section[3]), section[2] == "permit"), [])
                if s.words[0] != "route-map":
                    clauses.append(s.words)
        return found


def _may_define(s: Statement) -> bool:
    """Return True for a line that removes a policy, or may define one in an abbreviated form."""
    words = s.plain
    heads = words[1:2] if words[0] in (*_IP.values(), "bgp") else words[:1]
    if s.negated:
        return any(word in _HEADS for word in heads)
    if words[0] == "route-map":
        return words[2:3] not in (("permit",), ("deny",), ("in",), ("out",))
    return any(full.startswith(word) and full != word for word in heads for full in (*_HEADS, *_IP.values()))


def _prefix_rule(statement: Statement, sequence: int) -> PrefixRule | None:
    words = statement.words[3:]
    try:
        if words[0] == "seq":
            sequence, words = int(words[1]), words[2:]
        permit = {"permit": True, "deny": False}[words[0]]
        if words[1] == "any":
            return PrefixRule(sequence, permit, None, None, None, statement)
        bounds = dict(zip(words[2::2], words[3::2], strict=True))
        if set(bounds) - {"ge", "le"}:
            return None
        shortest, longest = (int(bounds[key]) if key in bounds else None for key in ("ge", "le"))
        return PrefixRule(sequence, permit, ip_network(words[1], strict=False), shortest, longest, statement)
    except (ValueError, KeyError, IndexError):
        return None
