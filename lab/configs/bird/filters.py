"""Evaluates BIRD's filters for one prefix, as far as they decide by prefixes, sources and constants.

A filter is run with every outcome that an unknown condition allows. The result is known only if all runs agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import Literal

from lab.configs.bird.statements import closing
from lab.configs.bird.tokens import Token
from lab.configs.disk import Unreadable
from lab.core.prefixes import Address, Prefix

OSPF_SOURCES = ("RTS_OSPF", "RTS_OSPF_IA", "RTS_OSPF_EXT1", "RTS_OSPF_EXT2")
"""The sources of OSPF's routes."""
_MAX_STEPS = 20_000
"""Steps of one evaluation; a longer filter is unknown."""
_MAX_CALLS = 16
_MAX_NESTING = 40

_BUILT_IN = {
    "print", "printn", "defined", "unset", "add", "delete", "filter", "prepend", "append", "empty", "len", "format",
    "roa_check", "aspa_check", "aspa_check_upstream", "aspa_check_downstream", "from_hex", "min", "max", "reset", "if",
    "return", "case", "as", "set", "int", "bool",
}  # fmt: skip
"""Words before a bracket that are not functions of the configuration."""

Outcome = Literal["accept", "reject", "end"] | tuple[Literal["return"], "bool | None"]
_ALL: frozenset[Outcome] = frozenset(("accept", "reject", "end"))
_END: frozenset[Outcome] = frozenset(("end",))
_DECISIONS: dict[str, frozenset[Outcome]] = {"accept": frozenset(("accept",)), "reject": frozenset(("reject",))}


@dataclass(frozen=True)
class Route:
    """The route on which a filter is evaluated; None and empty are unknown."""

    prefix: Prefix | None = None
    source: str = ""
    """As `RTS_BGP`."""
    protocol: str = ""
    """The name of the protocol that the route comes from."""
    interface: str = ""


@dataclass(frozen=True)
class _Item:
    """An entry of a prefix set."""

    prefix: Prefix
    shortest: int
    longest: int

    def contains(self, prefix: Prefix) -> bool:
        if prefix.version != self.prefix.version or not self.shortest <= prefix.prefixlen <= self.longest:
            return False
        common = min(prefix.prefixlen, self.prefix.prefixlen)
        shift = prefix.max_prefixlen - common
        return int(prefix.network_address) >> shift == int(self.prefix.network_address) >> shift


@dataclass(frozen=True)
class _Set:
    items: tuple[_Item, ...]
    names: tuple[str, ...] = ()
    """The items of a set of names or numbers."""
    known: bool = True


class _Unknown:
    """A value that is not known."""


UNKNOWN = _Unknown()
_Value = bool | int | str | Address | Prefix | _Set | _Unknown


@dataclass
class Evaluator:
    """Runs filters and functions of one configuration."""

    constants: Mapping[str, Sequence[Token]]
    filters: Mapping[str, Sequence[Token]]
    functions: Mapping[str, tuple[tuple[str, ...], Sequence[Token]]]
    _sets: dict[int, _Set] = field(default_factory=dict)
    """Sets that were read, by the identity of their first word."""

    def run(self, body: Sequence[Token], route: Route) -> bool | None:
        """Return True if a filter accepts a route, False if it rejects it, None if unknown."""
        outcomes = self._outcomes(body, route)
        # A filter that ends without a decision rejects.
        decided = {True if o == "accept" else False if o in ("reject", "end") else None for o in outcomes}
        return decided.pop() if len(decided) == 1 else None

    def named(self, name: str, route: Route) -> bool | None:
        """Run a filter by its name."""
        body = self.filters.get(name)
        return None if body is None else self.run(body, route)

    def condition(self, tokens: Sequence[Token], route: Route) -> bool | None:
        """Return the value of the expression after `where`."""
        try:
            return _Run(self, route).truth(tokens, {})
        except (_TooLong, Unreadable, IndexError, RecursionError):
            return None

    def _outcomes(self, body: Sequence[Token], route: Route) -> frozenset[Outcome]:
        try:
            return _Run(self, route).block(body, {}, 0)
        except (_TooLong, Unreadable, IndexError, RecursionError):
            return _ALL


class _TooLong(Exception):
    """An evaluation takes too many steps."""


class _Run:
    """One evaluation."""

    def __init__(self, evaluator: Evaluator, route: Route) -> None:
        self._evaluator = evaluator
        self._route = route
        self._steps = 0
        self._calls = 0

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise _TooLong

    # --- statements ------------------------------------------------------------------------------------------

    def block(self, tokens: Sequence[Token], names: dict[str, _Value], depth: int) -> frozenset[Outcome]:
        """Run statements; the result has `end` if one run reaches the end."""
        outcomes: frozenset[Outcome] = frozenset()
        at = 0
        while at < len(tokens):
            if tokens[at].text == ";":
                at += 1
                continue
            found, at = self._statement(tokens, at, names, depth)
            outcomes |= found - _END
            if "end" not in found:
                return outcomes
        return outcomes | _END

    def _statement(
        self, tokens: Sequence[Token], at: int, names: dict[str, _Value], depth: int
    ) -> tuple[frozenset[Outcome], int]:
        self._step()
        if depth > _MAX_NESTING:
            raise _TooLong
        word = tokens[at].text if tokens[at].kind in ("name", "sign") else ""
        if word == "{":
            end = closing(tokens, at)
            return self.block(tokens[at + 1 : end], names, depth + 1), end + 1
        if word == "if":
            return self._if(tokens, at, names, depth)
        if word == "case":
            opening = _index(tokens, at, "{")
            end = closing(tokens, opening)
            return self._anything(tokens[at:end]), end + 1
        if word == "for":
            return _ALL, len(tokens)
        end = _index(tokens, at, ";")
        inner = tokens[at + 1 : end]
        if word in _DECISIONS:
            return _DECISIONS[word], end + 1
        if word == "return":
            value = self.value(inner, names) if inner else UNKNOWN
            return frozenset((("return", value if isinstance(value, bool) else None),)), end + 1
        if word in self._evaluator.functions and _is_call(tokens[at:end]):
            outcomes = self._call(word, tokens[at + 2 : end - 1], names)
            returned = any(isinstance(o, tuple) for o in outcomes)
            kept = frozenset(o for o in outcomes if not isinstance(o, tuple))
            return (kept | _END if returned else kept), end + 1
        equal = next((n for n in range(at, end) if tokens[n].text == "="), None)
        if equal is not None and equal > at and tokens[equal - 1].kind == "name":
            value = self.value(tokens[equal + 1 : end], names)
            # A variable's value is known only where one run sets it.
            names[tokens[equal - 1].text] = UNKNOWN if depth else value
        return self._effects(tokens[at:end]), end + 1

    def _if(
        self, tokens: Sequence[Token], at: int, names: dict[str, _Value], depth: int
    ) -> tuple[frozenset[Outcome], int]:
        then = _then(tokens, at)
        decided = self.truth(tokens[at + 1 : then], names)
        outcomes: frozenset[Outcome] = self._effects(tokens[at + 1 : then]) - _END
        yes, at = self._statement(tokens, then + 1, names, depth + 1)
        no: frozenset[Outcome] = _END
        if at < len(tokens) and tokens[at].text == "else":
            no, at = self._statement(tokens, at + 1, names, depth + 1)
        chosen = yes | no if decided is None else yes if decided else no
        return outcomes | chosen, at

    def _call(self, name: str, arguments: Sequence[Token], names: dict[str, _Value]) -> frozenset[Outcome]:
        self._calls += 1
        if self._calls > _MAX_CALLS:
            self._calls -= 1
            raise _TooLong
        parameters, body = self._evaluator.functions[name]
        values = [self.value(part, names) for part in _split(arguments)]
        scope: dict[str, _Value] = dict.fromkeys(parameters, UNKNOWN)
        scope |= dict(zip(parameters, values, strict=False))
        outcomes = self.block(body, scope, 0)
        self._calls -= 1
        return frozenset(("return", None) if o == "end" else o for o in outcomes)

    def _anything(self, tokens: Sequence[Token]) -> frozenset[Outcome]:
        """Return what a part that is not understood may do."""
        decides = any(t.kind == "name" and t.text in ("accept", "reject", "return") for t in tokens)
        calls = any(t.kind == "name" and t.text in self._evaluator.functions for t in tokens)
        return _ALL | {("return", None)} if decides or calls else _END

    def _effects(self, tokens: Sequence[Token]) -> frozenset[Outcome]:
        """Return what the functions in an expression may decide."""
        for at, token in enumerate(tokens):
            if token.kind != "name" or (at and tokens[at - 1].text == "."):
                continue
            if token.text in self._evaluator.functions:
                body = self._evaluator.functions[token.text][1]
                if any(t.kind == "name" and t.text in ("accept", "reject", *self._evaluator.functions) for t in body):
                    return _ALL
            elif _is_sign(tokens, at + 1, "(") and token.text not in _BUILT_IN:
                return _ALL  # a function that is not in the file
        return _END

    # --- expressions -----------------------------------------------------------------------------------------

    def truth(self, tokens: Sequence[Token], names: dict[str, _Value]) -> bool | None:
        """Return the value of a condition; None if unknown."""
        value = self.value(tokens, names)
        return value if isinstance(value, bool) else None

    def value(self, tokens: Sequence[Token], names: dict[str, _Value]) -> _Value:
        """Return the value of an expression."""
        self._step()
        if self._calls > _MAX_CALLS:
            raise _TooLong
        if not tokens:
            return UNKNOWN
        for operator, decisive in (("||", True), ("&&", False)):
            parts = _split(tokens, operator)
            if len(parts) > 1:
                values = {self.truth(part, names) for part in parts}
                if decisive in values:
                    return decisive
                return UNKNOWN if None in values else not decisive
        if tokens[0].text == "!" and tokens[0].kind == "sign":
            inner = self.truth(tokens[1:], names)
            return UNKNOWN if inner is None else not inner
        comparison = _comparison(tokens)
        if comparison is not None:
            left, right = self.value(tokens[:comparison], names), self.value(tokens[comparison + 1 :], names)
            return _compare(left, tokens[comparison].text, right)
        return self._primary(tokens, names)

    def _primary(self, tokens: Sequence[Token], names: dict[str, _Value]) -> _Value:
        first = tokens[0]
        if first.text == "(" and first.kind == "sign" and closing(tokens, 0) == len(tokens) - 1:
            return self.value(tokens[1:-1], names)
        if first.text == "[" and first.kind == "sign" and closing(tokens, 0) == len(tokens) - 1:
            return self._set(tokens, names)
        prefix = _prefix(tokens)
        if prefix is not None:
            return prefix
        words = tuple(token.text for token in tokens)
        if len(tokens) == 1:
            return self._single(first, names)
        if first.kind == "name" and words[0] == "net" and self._route.prefix is not None:
            if words[1:] == (".", "len"):
                return self._route.prefix.prefixlen
            return self._route.prefix.network_address if words[1:] == (".", "ip") else UNKNOWN
        if words[0] in self._evaluator.functions and _is_call(tokens):
            outcomes = self._call(words[0], tokens[2:-1], names)
            values = {o[1] if isinstance(o, tuple) else None for o in outcomes}
            value = values.pop() if len(values) == 1 else None
            return UNKNOWN if value is None else value
        return UNKNOWN

    def _single(self, token: Token, names: dict[str, _Value]) -> _Value:
        if token.kind == "string":
            return token.text
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "address":
            return _address(token.text)
        word = token.text
        if word in names:
            return names[word]
        if word == "net":
            return self._route.prefix or UNKNOWN
        if word in ("source", "proto", "ifname"):
            known = {"source": self._route.source, "proto": self._route.protocol, "ifname": self._route.interface}
            return known[word] or UNKNOWN
        if word in ("true", "false"):
            return word == "true"
        if word.startswith("RTS_"):
            return word
        constant = self._evaluator.constants.get(word)
        if constant is not None and not any(t.text == word for t in constant):
            if constant and constant[0].text == "[":
                return self._set(constant, {})
            return self.value(constant, {})
        return UNKNOWN

    def _set(self, tokens: Sequence[Token], names: dict[str, _Value]) -> _Set:
        key = id(tokens[0])
        if key in self._evaluator._sets:
            return self._evaluator._sets[key]
        items: list[_Item] = []
        texts: list[str] = []
        known = True
        for part in _split(tokens[1:-1]):
            item = _item(part)
            if item is not None:
                items.append(item)
                continue
            value = self.value(part, names) if part else UNKNOWN
            if isinstance(value, _Set):
                items += value.items
                texts += value.names
                known = known and value.known
            elif isinstance(value, str | int) and not isinstance(value, bool):
                texts.append(str(value))
            elif not isinstance(value, _Unknown | bool) and (network := _as_prefix(value)) is not None:
                items.append(_Item(network, network.prefixlen, network.prefixlen))
            else:
                known = False
        found = _Set(tuple(items), tuple(texts), known)
        # A set with variables is not the same in each call.
        if not names:
            self._evaluator._sets[key] = found
        return found


def _is_sign(tokens: Sequence[Token], at: int, sign: str) -> bool:
    return at < len(tokens) and tokens[at].kind == "sign" and tokens[at].text == sign


def _is_call(tokens: Sequence[Token]) -> bool:
    """Return True for `name(…)`."""
    return tokens[0].kind == "name" and _is_sign(tokens, 1, "(") and closing(tokens, 1) == len(tokens) - 1


def _compare(left: _Value, operator: str, right: _Value) -> _Value:
    if isinstance(left, _Unknown) or isinstance(right, _Unknown):
        return UNKNOWN
    if operator in ("~", "!~"):
        found = _within(left, right)
        return UNKNOWN if found is None else found if operator == "~" else not found
    if operator in ("=", "!="):
        if isinstance(left, _Set) or isinstance(right, _Set) or type(left) is not type(right):
            return UNKNOWN
        return (left == right) if operator == "=" else (left != right)
    if isinstance(left, int) and isinstance(right, int):
        return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[operator]
    return UNKNOWN


def _within(left: _Value, right: _Value) -> bool | None:
    if isinstance(right, _Set):
        if isinstance(left, Address):
            return None
        prefix = _as_prefix(left)
        if prefix is not None:
            if any(item.contains(prefix) for item in right.items):
                return True
        elif isinstance(left, str | int) and str(left) in right.names:
            return True
        return False if right.known else None
    if isinstance(left, str) and isinstance(right, str):
        return fnmatchcase(left, right)
    outer, inner = _as_prefix(right), _as_prefix(left)
    if outer is None or inner is None or isinstance(right, Address):
        return None
    return inner.version == outer.version and inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def _as_prefix(value: _Value) -> Prefix | None:
    if isinstance(value, bool | int | str | _Set | _Unknown):
        return None
    return ip_network(value) if isinstance(value, Address) else value


def _item(tokens: Sequence[Token]) -> _Item | None:
    """Return an entry as `10.0.0.0/8+`; None for another form."""
    prefix = _prefix(tokens[:3])
    if prefix is None:
        return None
    rest = tuple(token.text for token in tokens[3:])
    length, top = prefix.prefixlen, prefix.max_prefixlen
    if rest in ((), ("+",), ("-",)):
        shortest, longest = {(): (length, length), ("+",): (length, top), ("-",): (0, length)}[rest]
        return _Item(prefix, shortest, longest)
    match rest:
        case ("{", low, ",", high, "}") if low.isdecimal() and high.isdecimal() and len(low + high) < 8:
            return _Item(prefix, int(low), int(high))
    return None


def _prefix(tokens: Sequence[Token]) -> Prefix | None:
    if len(tokens) != 3 or (tokens[0].kind, tokens[1].text, tokens[2].kind) != ("address", "/", "number"):
        return None
    try:
        return ip_network(f"{tokens[0].text}/{tokens[2].text}", strict=False)
    except ValueError:
        return None


def _address(text: str) -> _Value:
    try:
        return ip_address(text)
    except ValueError:
        return UNKNOWN


def _number(text: str) -> _Value:
    if text[:2].lower() == "0x":
        return int(text, 16) if len(text) < 20 else UNKNOWN
    return int(text) if len(text) < 20 else UNKNOWN


def _split(tokens: Sequence[Token], separator: str = ",") -> list[Sequence[Token]]:
    """Split an expression at a sign outside of brackets."""
    parts: list[Sequence[Token]] = []
    depth = start = 0
    for at, token in enumerate(tokens):
        if token.kind != "sign":
            continue
        if token.text in "([{":
            depth += 1
        elif token.text in ")]}":
            depth -= 1
        elif token.text == separator and depth == 0:
            parts.append(tokens[start:at])
            start = at + 1
    return [*parts, tokens[start:]] if parts or tokens else []


def _comparison(tokens: Sequence[Token]) -> int | None:
    depth = 0
    for at, token in enumerate(tokens):
        if token.kind != "sign":
            continue
        if token.text in "([{":
            depth += 1
        elif token.text in ")]}":
            depth -= 1
        elif depth == 0 and token.text in ("~", "!~", "=", "!=", "<", ">", "<=", ">="):
            return at
    return None


def _index(tokens: Sequence[Token], start: int, sign: str) -> int:
    """Return the place of a sign outside of brackets; the end without one."""
    at = start
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "sign" and token.text == sign:
            return at
        if token.kind == "sign" and token.text in "([{":
            at = closing(tokens, at)
        at += 1
    return len(tokens)


def _then(tokens: Sequence[Token], start: int) -> int:
    """Return the place of the `then` of an `if`."""
    for at in range(start, len(tokens)):
        if tokens[at].kind == "name" and tokens[at].text == "then":
            return at
    raise IndexError(start)
