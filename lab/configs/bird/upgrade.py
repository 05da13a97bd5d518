"""Configurations of BIRD 1.6 in the syntax of BIRD 2 and 3.

BIRD 1.6 has a daemon per family, each with a file of its own, and no channels: `import`, `export`, `table` and the like
are options of a protocol. BIRD 2 has one daemon, and they are options of a protocol's channel `ipv4` or `ipv6` (the
project's page "Transition notes to BIRD 2"; BIRD's manual, "Protocol options" and "Channel options").
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from lab.configs.bird.layout import block, phrase
from lab.configs.bird.statements import Statement, statements
from lab.configs.bird.tokens import Token, read_source
from lab.configs.disk import Disk, Spot
from lab.configs.translated import Note

_OF_CHANNEL = {
    ("import",), ("export",), ("receive", "limit"), ("table",), ("preference",), ("next", "hop"), ("gateway",),
    ("igp", "table"), ("missing", "lladdr"), ("add", "paths"), ("secondary",), ("route", "limit"),
}  # fmt: skip
"""The options that BIRD 2 has in a channel, by their first words."""
_WITHOUT_CHANNEL = ("device", "bfd", "pipe", "radv")
_GONE = {("listen", "bgp"), ("device", "routes"), ("advertise", "ipv4"), ("capabilities",), ("mode", "transparent")}
_RENAMED = {("start", "delay", "time"): ("connect", "delay", "time"), ("route", "limit"): ("receive", "limit")}
_ROUTES = {"reject": "unreachable", "drop": "blackhole"}


@dataclass
class Upgraded:
    """A configuration for BIRD 2 and 3."""

    lines: list[str] = field(default_factory=list)
    origins: list[Spot] = field(default_factory=list)
    """The place that each line comes from."""
    notes: list[Note] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The configuration."""
        return "".join(f"{line}\n" for line in self.lines)


def upgrade(files: Sequence[tuple[PurePosixPath, bool]], disk: Disk) -> Upgraded:
    """Return one configuration from the files of BIRD 1.6's daemons, includes in place.

    Each file comes with True if it is of the daemon of IPv6. Names that both use get a 6 at the end in that of IPv6.
    Raises `Unreadable`.
    """
    result = Upgraded()
    taken: set[str] = set()
    seen: set[tuple[str, ...]] = set()
    for path, six in files:
        source = read_source(path, disk)
        result.notes += [Note(m.spot, f'include "{m.name}": the file is not at hand') for m in source.missing]
        found = list(_whole(statements(source.tokens)))
        names = {name for s in found if (name := _name(s))}
        writer = _Writer(result, six=six, renamed=names & taken)
        taken |= names
        for s in found:
            if s.body is None or s.words[:2] == ("protocol", "device"):
                key = ("device",) if s.body is not None else s.words
                if key in seen:
                    continue
                seen.add(key)
            writer.write(s)
    return result


def _whole(found: Iterable[Statement]) -> Iterator[Statement]:
    """Join the head of a filter or function with its block, after the variables that BIRD 1.6 has between them."""
    head: Statement | None = None
    variables: list[Token] = []
    for s in found:
        if s.body is None and s.words[:1] in (("filter",), ("function",)):
            length = 2 if s.words[0] == "filter" else _parameters_end(s.head)
            head, first = Statement(s.head[:length]), s.head[length:]
            variables = [*first, _sign(";", s)] if first else []
        elif head is not None and s.body is None:
            variables += [*s.head, _sign(";", s)]
        elif head is not None and s.body is not None:
            # The last variable and the block are one statement, if a semicolon is missing between them.
            more = [*s.head, _sign(";", s)] if s.head else []
            yield Statement(head.head, (*variables, *more, *s.body))
            head, variables = None, []
        else:
            yield s


def _parameters_end(head: Sequence[Token]) -> int:
    return next((at + 1 for at, token in enumerate(head) if token.text == ")"), 2)


def _sign(text: str, s: Statement) -> Token:
    return Token("sign", text, s.spot)


def _name(s: Statement) -> str | None:
    """Return the name that a statement defines; None if it has none."""
    words = s.words
    if words[:1] in (("protocol",), ("template",)):
        return words[2] if len(words) > 2 and words[2] != "from" else None
    if words[:1] in (("filter",), ("function",), ("define",), ("table",)):
        return words[1] if len(words) > 1 else None
    return None


class _Writer:
    """Writes the statements of one daemon."""

    def __init__(self, result: Upgraded, *, six: bool, renamed: set[str]) -> None:
        self._result = result
        self._family = "ipv6" if six else "ipv4"
        self._six = six
        self._renamed = renamed

    def write(self, s: Statement) -> None:
        """Write a statement of the top level."""
        s = self._with_names(s)
        match s.words:
            case ("protocol" | "template", kind, *_) if s.body is not None:
                self._protocol(s, kind)
            case ("table", *_):
                self._add(f"{self._family} table {phrase(s.head[1:])};", s.spot)
            case ("roa", "table", *_):
                self._note(s, "tables of ROAs are filled otherwise in BIRD 2: left out")
            case words if any(words[: len(gone)] == gone for gone in _GONE):
                self._note(s, f"BIRD 2 has no '{' '.join(words)}': left out")
            case _:
                self._statement(s, 0)

    def _protocol(self, s: Statement, kind: str) -> None:
        head = list(s.head)
        version = {"ospf": "v3" if self._six else "v2", "rip": "ng" if self._six else ""}.get(kind, "")
        if version:
            head.insert(2, Token("name", version, s.spot))
        self._add(f"{phrase(head)} {{", s.spot)
        own, channel = [], []
        for inner in statements(s.body or ()):
            if any(inner.words[: len(gone)] == gone for gone in _GONE):
                self._note(inner, f"BIRD 2 has no '{' '.join(inner.words)}': left out")
            elif kind not in _WITHOUT_CHANNEL and any(inner.words[: len(of)] == of for of in _OF_CHANNEL):
                channel.append(_renamed(inner))
            else:
                own.append(_route(_renamed(inner)) if kind == "static" else _renamed(inner))
        if kind not in _WITHOUT_CHANNEL:
            self._channel(s, kind, channel)
        for inner in own:
            self._statement(inner, 1)
        self._add("}", s.spot)

    def _channel(self, s: Statement, kind: str, options: list[Statement]) -> None:
        if "from" in s.words[:-1] and not options:
            return  # that of the template
        given = {inner.words[0] for inner in options}
        # BIRD 1.6's defaults; BIRD 2 wants a policy of external neighbours to be written down.
        defaults = ["import all;", "export none;"] if kind == "bgp" and "from" not in s.words[:-1] else []
        missing = [line for line in defaults if line.split(" ")[0] not in given]
        if not options and not missing:
            self._add(f"  {self._family};", s.spot)
            return
        self._add(f"  {self._family} {{", s.spot)
        for line in missing:
            self._add(f"    {line}", s.spot)
        for inner in options:
            self._statement(inner, 2)
        self._add("  };", s.spot)

    def _statement(self, s: Statement, depth: int) -> None:
        if s.body is None:
            self._add("  " * depth + f"{phrase(s.head)};", s.spot)
            return
        if not depth and s.words[:1] not in (("filter",), ("function",)):
            self._add(f"{phrase(s.head)} {{ {phrase(s.body)} }};", s.spot)
            return
        self._add("  " * depth + f"{phrase(s.head)} {{", s.spot)
        for line, spot in block(s.body, depth + 1):
            self._add(line, spot)
        self._add("  " * depth + ("};" if depth else "}"), s.spot)

    def _with_names(self, s: Statement) -> Statement:
        if not self._renamed:
            return s
        return Statement(tuple(map(self._named, s.head)), None if s.body is None else tuple(map(self._named, s.body)))

    def _named(self, token: Token) -> Token:
        if token.kind in ("name", "string") and token.text in self._renamed:
            return token._replace(text=f"{token.text}6")
        return token

    def _add(self, line: str, spot: Spot) -> None:
        self._result.lines.append(line)
        self._result.origins.append(spot)

    def _note(self, s: Statement, sentence: str) -> None:
        self._result.notes.append(Note(s.spot, sentence))


def _renamed(s: Statement) -> Statement:
    for old, new in _RENAMED.items():
        if s.words[: len(old)] == old:
            words = [Token("name", text, s.spot) for text in new]
            return replace(s, head=(*words, *s.head[len(old) :]))
    return s


def _route(s: Statement) -> Statement:
    """Return a static route with BIRD 2's words."""
    if s.words[:1] != ("route",):
        return s
    head = [token for token in s.head if token.text != "multipath"]
    return replace(s, head=tuple(token._replace(text=_ROUTES.get(token.text, token.text)) for token in head))
