"""Static routes in BIRD's configurations."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lab.configs.bird.protocols import BirdProtocol
from lab.configs.bird.tokens import Token
from lab.configs.bird.values import Values
from lab.configs.routing.facts import StaticRoute

_DISCARDING = ("blackhole", "unreachable", "prohibit", "reject", "drop")


def static_routes(protocol: BirdProtocol, values: Values) -> Iterator[StaticRoute]:
    """Generate the routes of a protocol."""
    for s in protocol.all("route"):
        prefix, rest = values.prefix(s.head[1:])
        # `route 10.0.0.0/8 max 24 as 65001` is a ROA.
        if prefix is not None and not (rest and rest[0].text == "max"):
            yield _with_target(StaticRoute(prefix, s.spot, protocol=protocol.name), rest, values)


def _with_target(route: StaticRoute, tokens: Sequence[Token], values: Values) -> StaticRoute:
    for at, token in enumerate(tokens):
        before = tokens[at - 1].text if at else ""
        if token.kind == "name" and token.text in _DISCARDING:
            return replace(route, discards=True)
        if before in ("via", "recursive", "dev", "%") and token.text != "range":
            if token.kind == "string" or before == "%":
                route = replace(route, interface=route.interface or token.text)
            else:
                route = replace(route, via=route.via or values.address(token))
    return route
