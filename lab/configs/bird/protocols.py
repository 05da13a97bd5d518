"""The protocols of BIRD's configurations, with the statements that their templates add."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lab.configs.bird.statements import Statement, statements
from lab.configs.bird.tokens import Source, Token
from lab.configs.disk import Spot, Unreadable
from lab.configs.routing.facts import Unread
from lab.core.prefixes import FAMILIES, Family

KINDS = (
    "bgp", "ospf", "rip", "static", "kernel", "device", "direct", "bfd", "radv", "pipe", "babel", "rpki", "mrt", "bmp",
    "l3vpn", "perf", "aggregator",
)  # fmt: skip
MAX_PROTOCOLS = 50_000
_KNOWN = {
    "log", "debug", "mrtdump", "watchdog", "timeformat", "attribute", "graceful", "eval", "listen", "threads",
    "mpls", "roa", "vpn4", "vpn6", "flow4", "flow6", "roa4", "roa6", "aspa", "password", "thread", "ipv6",
}  # fmt: skip
"""The first words of statements that have no facts."""


@dataclass(frozen=True)
class Channel:
    """The connection of a protocol with a table, for one family."""

    family: Family
    spot: Spot
    statements: tuple[Statement, ...]

    def last(self, *words: str) -> Statement | None:
        """Return the last statement that begins with these words."""
        found = [s for s in self.statements if s.starts(*words)]
        return found[-1] if found else None

    def policy(self, direction: str) -> Statement | None:
        """Return the `import` or `export` statement in effect."""
        found = [s for s in self.statements if s.starts(direction) and s.words[1:2] not in (("limit",), ("keep",))]
        found = [s for s in found if s.words[1:2] not in (("table",), ("block",), ("in",), ("filtered",))]
        return found[-1] if found else None

    @property
    def table(self) -> str:
        """The name of its table."""
        table = self.last("table")
        return table.words[1] if table and len(table.words) > 1 else f"master{4 if self.family == 'ipv4' else 6}"


@dataclass(frozen=True)
class BirdProtocol:
    """A `protocol` section."""

    kind: str
    variant: str
    """`v2` and `v3` of OSPF, `ng` of RIP; empty without one."""
    name: str
    spot: Spot
    statements: tuple[Statement, ...] = field(repr=False)
    """Those of its templates first."""
    channels: tuple[Channel, ...] = ()
    has_own_policy: bool = False
    """True if `import` or `export` are outside of a channel, as in BIRD 1.6."""

    def last(self, *words: str) -> Statement | None:
        """Return the last statement that begins with these words."""
        found = [s for s in self.statements if s.starts(*words)]
        return found[-1] if found else None

    def all(self, *words: str) -> list[Statement]:
        """Return every statement that begins with these words."""
        return [s for s in self.statements if s.starts(*words)]

    def switch(self, *words: str) -> bool:
        """Return True for an option that is on: alone, or with `yes`, `on` or 1."""
        s = self.last(*words)
        return s is not None and s.words[len(words) : len(words) + 1] not in (("no",), ("off",), ("0",))

    def channel(self, family: Family) -> Channel | None:
        """Return its channel of a family."""
        return next((c for c in self.channels if c.family == family), None)


@dataclass(frozen=True)
class BirdFile:
    """The top level of a configuration: protocols, constants, filters and functions."""

    protocols: tuple[BirdProtocol, ...]
    constants: dict[str, tuple[Token, ...]]
    filters: dict[str, tuple[Token, ...]]
    functions: dict[str, tuple[tuple[str, ...], tuple[Token, ...]]]
    """Their parameters and bodies."""
    options: tuple[Statement, ...]
    """`router id`, `hostname` and the like."""
    tables: tuple[str, ...]
    unread: tuple[Unread, ...]
    old: bool
    """True for BIRD 1.6: no channels."""

    @cached_property
    def by_kind(self) -> dict[str, list[BirdProtocol]]:
        """The protocols by kind."""
        found: dict[str, list[BirdProtocol]] = {}
        for protocol in self.protocols:
            found.setdefault(protocol.kind, []).append(protocol)
        return found


def parse_file(source: Source, *, six: bool) -> BirdFile:
    """Return the protocols of a configuration; raises `Unreadable`.

    Without channels, as in BIRD 1.6, a protocol has one channel, of IPv6 if `six`, as in bird6.conf.
    """
    return _Parser(six=six).parse(source)


class _Parser:
    def __init__(self, *, six: bool) -> None:
        self._family: Family = "ipv6" if six else "ipv4"
        self._templates: dict[str, tuple[Statement, ...]] = {}
        self._constants: dict[str, tuple[Token, ...]] = {}
        self._filters: dict[str, tuple[Token, ...]] = {}
        self._functions: dict[str, tuple[tuple[str, ...], tuple[Token, ...]]] = {}
        self._options: list[Statement] = []
        self._tables: list[str] = []
        self._unread: list[Unread] = []
        self._headers: list[tuple[Statement, tuple[Statement, ...]]] = []
        self._blocks: dict[int, tuple[Statement, ...]] = {}
        """The statements in the channels of templates, which many protocols share, by the channel's identity."""
        self._unnamed: Counter[str] = Counter()
        """How many protocols of a kind have no name."""
        self._waiting: Statement | None = None
        """The head of a filter or function of BIRD 1.6 whose variables precede its block."""

    def parse(self, source: Source) -> BirdFile:
        for s in statements(source.tokens):
            self._statement(s)
        self._unread += [Unread(f'include "{m.name}": not at hand', m.spot) for m in source.missing]
        old = self._is_old()
        protocols = tuple(self._protocol(*of, old=old) for of in self._headers)
        return BirdFile(
            protocols,
            self._constants,
            self._filters,
            self._functions,
            tuple(self._options),
            tuple(self._tables),
            tuple(self._unread),
            old,
        )

    def _statement(self, s: Statement) -> None:
        match s.words:
            case ("protocol", *_) if s.body is not None:
                if len(self._headers) == MAX_PROTOCOLS:
                    raise Unreadable(f"{s.spot}: more than {MAX_PROTOCOLS} protocols")
                self._headers.append((s, self._merged(s)))
            case ("template", _, *rest) if s.body is not None:
                rest = rest[1:] if rest[:1] in (["v2"], ["v3"], ["ng"]) else rest
                if rest:
                    self._templates[rest[0]] = self._merged(s)
            case ("define", name, "=", *_):
                self._constants[name] = s.head[3:]
            case (("filter" | "function"), _, *_):
                if s.body is None:
                    self._waiting = s
                else:
                    self._code(s, s.body)
            case () if self._waiting is not None and s.body is not None:
                self._code(self._waiting, s.body)
            case (("ipv4" | "ipv6" | "roa4" | "roa6"), "table", name, *_) | ("table", name, *_):
                self._tables.append(name)
            case ("roa", "table", *_):
                pass
            case (("router" | "hostname" | "cli"), *_):
                self._options.append(s)
            case (first, *_) if first in _KNOWN:
                pass
            case _ if self._waiting is not None and s.body is None:
                pass  # another variable of a filter
            case _:
                self._unread.append(Unread(" ".join(s.words[:8]), s.spot))

    def _code(self, head: Statement, body: tuple[Token, ...]) -> None:
        self._waiting = None
        if head.starts("filter"):
            self._filters[head.words[1]] = body
        else:
            self._functions[head.words[1]] = (_parameters(head.head[2:]), body)

    def _merged(self, s: Statement) -> tuple[Statement, ...]:
        """Return a section's statements after those of its template."""
        own = tuple(statements(s.body or ()))
        if "from" in s.words[:-1]:
            base = self._templates.get(s.words[s.words.index("from") + 1])
            if base is None:
                self._unread.append(Unread(f"the template of `{' '.join(s.words)}` is not in the file", s.spot))
            else:
                own = base + own
        return own

    def _is_old(self) -> bool:
        channels = any(
            _channel(s) is not None
            for _, found in self._headers
            for s in found
            if s.words[:1] in (("ipv4",), ("ipv6",))
        )
        modern = any(s.words[1:3] in (("ospf", "v2"), ("ospf", "v3")) for s, _ in self._headers)
        if channels or modern:
            return False
        return any(
            s.starts("import") or s.starts("export") or (head.words[1:2] == ("static",) and s.starts("route"))
            for head, found in self._headers
            for s in found
        )

    def _protocol(self, head: Statement, found: tuple[Statement, ...], *, old: bool) -> BirdProtocol:
        words = list(head.words[1:])
        kind = words[0] if words else ""
        rest = words[1:]
        variant = rest.pop(0) if rest[:1] in (["v2"], ["v3"], ["ng"]) else ""
        name = rest[0] if rest and rest[0] != "from" else self._default_name(kind)
        if kind not in KINDS:
            self._unread.append(Unread(f"protocol {kind}", head.spot))
        own = [s for s in found if s.words[:1] in (("import",), ("export",), ("table",), ("preference",))]
        if old:
            channels: tuple[Channel, ...] = (Channel(self._family, head.spot, tuple(own)),)
        else:
            channels = self._channels(found, kind, variant, head.spot)
        return BirdProtocol(kind, variant, name, head.spot, found, channels, bool(own))

    def _default_name(self, kind: str) -> str:
        """Return the name that BIRD gives to a protocol without one: each kind counts its own."""
        self._unnamed[kind] += 1
        return f"{kind}{self._unnamed[kind]}"

    def _channels(self, found: Iterable[Statement], kind: str, variant: str, spot: Spot) -> tuple[Channel, ...]:
        """Return the channels; a later one of the same family adds to an earlier one, as of a template."""
        merged: dict[Family, tuple[Statement, ...]] = {}
        spots: dict[Family, Spot] = {}
        for s in found:
            family = _channel(s)
            if family is not None:
                if id(s) not in self._blocks:
                    self._blocks[id(s)] = tuple(statements(s.body or ()))
                merged[family] = merged.get(family, ()) + self._blocks[id(s)]
                spots[family] = s.spot
        if not merged and kind in ("ospf", "rip"):
            # Without a channel these have one of their own family.
            default: Family = "ipv6" if variant in ("v3", "ng") else "ipv4"
            merged, spots = {default: ()}, {default: spot}
        return tuple(Channel(family, spots[family], merged[family]) for family in FAMILIES if family in merged)


def _channel(s: Statement) -> Family | None:
    """Return the family of a channel for unicast; None for another statement."""
    if s.words in (("ipv4",), ("ipv4", "unicast")):
        return "ipv4"
    return "ipv6" if s.words in (("ipv6",), ("ipv6", "unicast")) else None


def _parameters(tokens: Sequence[Token]) -> tuple[str, ...]:
    """Return the names in `(int a; prefix set b)`."""
    names: list[str] = []
    last = ""
    for token in tokens:
        if token.text in (";", ",", ")"):
            if last:
                names.append(last)
            last = ""
            if token.text == ")":
                break
        elif token.kind == "name":
            last = token.text
    return tuple(names)
