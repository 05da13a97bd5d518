"""Static routes and interfaces in FRR's and Quagga's configurations."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_interface, ip_network

from lab.configs.frr.statements import Statement
from lab.configs.routing.facts import InterfaceFacts, StaticRoute
from lab.core.prefixes import Prefix

_DISCARDING = ("Null0", "null0", "blackhole", "reject")
_OPTIONS = ("tag", "label", "table", "nexthop-vrf", "vrf", "color", "onlink", "bfd", "segments")


def static_routes(statements: Iterable[Statement]) -> tuple[StaticRoute, ...]:
    """Return the static routes, also those in the form `ip route NETWORK MASK GATEWAY`."""
    found = (_static_route(s) for s in statements if s.words[0] in ("ip", "ipv6") and s.words[1:2] == ("route",))
    return tuple(route for route in found if route is not None)


def interfaces(statements: Iterable[Statement]) -> tuple[InterfaceFacts, ...]:
    """Return the interfaces with a section of their own, each with the addresses that zebra sets."""
    found: dict[str, InterfaceFacts] = {}
    for s in statements:
        section = s.section.split()
        if section[:1] != ["interface"] or len(section) < 2:
            continue
        at = found.setdefault(section[1], InterfaceFacts(section[1], s.spot, vrf=s.vrf))
        if s.words[0] == "description":
            found[section[1]] = replace(at, description=" ".join(s.words[1:]))
        elif s.words[0] in ("ip", "ipv6") and s.words[1:2] == ("address",) and len(s.words) > 2:
            try:
                address = ip_interface(s.words[2])
            except ValueError:
                continue
            found[section[1]] = replace(at, addresses=(*at.addresses, address))
    return tuple(found.values())


def network(words: tuple[str, ...]) -> Prefix | None:
    """Return the prefix of a `network` statement of BGP; without a length it is a class A, B or C network."""
    text = words[1] if len(words) > 1 else ""
    try:
        if words[2:3] == ("mask",) and len(words) > 3:
            return IPv4Network(f"{text}/{words[3]}", strict=False)
        prefix = ip_network(text, strict=False)
    except ValueError:
        return None
    if "/" in text or not isinstance(prefix, IPv4Network):
        return prefix
    first = int(text.partition(".")[0])
    length = 8 if first < 128 else 16 if first < 192 else 24
    return IPv4Network(f"{text}/{length}", strict=False)


def _static_route(s: Statement) -> StaticRoute | None:
    rest = list(s.words[2:])
    try:
        if len(rest) > 1 and "/" not in rest[0] and s.words[0] == "ip":
            prefix: Prefix = IPv4Network(f"{rest[0]}/{rest[1]}", strict=False)
            rest = rest[2:]
        else:
            prefix = ip_network(rest[0], strict=False)
            rest = rest[1:]
    except (ValueError, IndexError):
        return None
    route = StaticRoute(prefix, s.spot, vrf=rest[rest.index("vrf") + 1] if "vrf" in rest[:-1] else s.vrf)
    if rest[:1] == ["from"]:  # of a source-specific route
        rest = rest[2:]
    for word in rest:
        if word in _OPTIONS or word.isdecimal():
            break
        if word in _DISCARDING:
            return replace(route, discards=True)
        try:
            route = replace(route, via=ip_address(word))
        except ValueError:
            route = replace(route, interface=word)
    return route
