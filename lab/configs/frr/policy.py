"""FRR's prefix lists and route maps, as far as they filter by prefix and interface."""

from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network

from lab.configs.frr.statements import Statement
from lab.configs.numbers import is_number
from lab.core.prefixes import Prefix


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
        if kind == "prefix-list":
            return self._in_list(name, prefix)
        return self.through_map(name, prefix) if kind == "route-map" else None

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

    def through_map(self, name: str, prefix: Prefix, device: str | None = None) -> bool | None:
        """Return whether a prefix passes a route map, for a route through a device; None if unknown."""
        entries = self._maps.get(name)
        if entries is None:
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

    def _in_list(self, name: str, prefix: Prefix) -> bool | None:
        rules = self._lists.get(("ip" if prefix.version == 4 else "ipv6", name))
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
