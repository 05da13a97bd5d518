"""The interfaces of OSPF and RIP in BIRD's configurations."""

from collections.abc import Iterator, Sequence

from lab.configs.bird.protocols import BirdProtocol
from lab.configs.bird.statements import Statement, statements
from lab.configs.bird.tokens import Token
from lab.configs.bird.values import Values
from lab.configs.numbers import parse_area
from lab.configs.routing.facts import Detection, InteriorInterface, InteriorProtocol, Originated

_HELLO, _HELLOS = 10, 4
"""OSPF's hello interval in seconds, and the number of them in a dead interval."""
_UPDATE, _TIMEOUT = 30, 120
"""RIP's timers in seconds."""


def interior(protocol: BirdProtocol, values: Values, *, six: bool) -> Iterator[InteriorInterface]:
    """Generate where a protocol runs; `six` is True for BIRD 1.6's daemon of IPv6."""
    name = interior_name(protocol, six=six)
    if name in ("ospf", "ospf6"):
        for area in protocol.all("area"):
            number = values.number(area.head[1]) if len(area.head) > 1 else None
            text = str(number) if number is not None else area.words[1] if len(area.words) > 1 else ""
            for s in statements(area.body or ()):
                if s.starts("interface"):
                    yield from _interfaces(s, protocol, name, values, parse_area(text))
    else:
        for s in protocol.all("interface"):
            yield from _interfaces(s, protocol, name, values, None)


def stub_networks(protocol: BirdProtocol, values: Values) -> Iterator[Originated]:
    """Generate the prefixes of `stubnet`."""
    for area in protocol.all("area"):
        for s in statements(area.body or ()):
            prefix, _ = values.prefix(s.head[1:]) if s.starts("stubnet") else (None, ())
            if prefix is not None:
                yield Originated(prefix, "ospf", s.spot)


def interior_name(protocol: BirdProtocol, *, six: bool) -> InteriorProtocol:
    """Return the protocol's name: `ospf` or `rip`, `ospf6` or `ripng`."""
    if protocol.kind == "ospf":
        return "ospf6" if protocol.variant == "v3" or six else "ospf"
    return "ripng" if protocol.variant == "ng" or six else "rip"


def _interfaces(
    s: Statement, protocol: BirdProtocol, name: InteriorProtocol, values: Values, area: str | None
) -> Iterator[InteriorInterface]:
    passive = any(
        inner.words[:1] in (("stub",), ("passive",)) and inner.words[1:2] not in (("no",), ("off",), ("0",))
        for inner in statements(s.body or ())
    )
    detection = _detection(s, name, values)
    excluded: list[str] = []
    for part in _patterns(s.head[1:]):
        negative = part[0].kind == "sign" and part[0].text == "-"
        tokens = part[1:] if negative else part
        pattern = tokens[0].text if tokens and tokens[0].kind == "string" else None
        prefix, _ = values.prefix(tokens[1:] if pattern is not None else tokens)
        if negative:
            excluded += [pattern] if pattern is not None else []
        elif pattern is not None or prefix is not None:
            yield InteriorInterface(
                name,
                s.spot,
                pattern,
                prefix,
                area,
                passive,
                excluded=tuple(excluded),
                instance=protocol.name,
                detection=detection,
            )


def _detection(s: Statement, name: InteriorProtocol, values: Values) -> Detection:
    """Return how soon a neighbour is dropped: `dead`, `dead count` and `hello` of OSPF, `timeout time` of RIP."""
    inner = list(statements(s.body or ()))
    if name in ("rip", "ripng"):
        update, timeout = _last(inner, "update", "time"), _last(inner, "timeout", "time")
        every = _number(update, 2, values) if update else _UPDATE
        after = _number(timeout, 2, values) if timeout else _TIMEOUT
        return Detection(after, every or _UPDATE, timeout.spot if timeout else None)
    hello, dead = _last(inner, "hello"), _last(inner, "dead")
    every = _number(hello, 1, values) if hello else _HELLO
    if dead is not None and not dead.starts("dead", "count"):
        return Detection(_number(dead, 1, values), every or _HELLO, dead.spot)
    count = _number(dead, 2, values) if dead else _HELLOS
    spot = dead.spot if dead else hello.spot if hello else None
    return Detection(count * every if count and every else None, every or _HELLO, spot)


def _last(inner: Sequence[Statement], *words: str) -> Statement | None:
    return next((s for s in reversed(inner) if s.starts(*words)), None)


def _number(s: Statement | None, at: int, values: Values) -> int | None:
    """Return a number of seconds; None for anything else, as one with another unit."""
    if s is None or len(s.head) <= at or (len(s.head) > at + 1 and s.words[at + 1 :] != ("s",)):
        return None
    return values.number(s.head[at])


def _patterns(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    part: list[Token] = []
    for token in tokens:
        if token.kind == "name" and token.text == "instance":
            break
        if token.kind == "sign" and token.text == ",":
            if part:
                yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part
