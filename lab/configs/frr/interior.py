"""The interfaces of OSPF and RIP in FRR's and Quagga's configurations."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import TypeVar

from lab.configs.frr.statements import Statement
from lab.configs.numbers import is_number, parse_area
from lab.configs.routing.facts import Detection, InteriorInterface, InteriorProtocol
from lab.core.prefixes import Prefix

_HELLO, _DEAD, _HELLOS = 10, 40, 4
"""OSPF's hello and dead interval in seconds (RFC 2328, C.3), and ospfd's ratio of the two."""
_UPDATE, _TIMEOUT = 30, 180
"""The timers of ripd and ripngd in seconds (RFC 2453, 3.8); they vary the first by a half."""
_LEAST = 5
"""The least number of seconds that `timers basic` accepts."""
_Key = TypeVar("_Key")
PROTOCOLS: dict[str, InteriorProtocol] = {"ospf": "ospf", "ospf6": "ospf6", "rip": "rip", "ripng": "ripng"}


def interior_interfaces(statements: Iterable[Statement]) -> tuple[InteriorInterface, ...]:
    """Return where OSPF and RIP run: `network … area`, `network`, `ip ospf area` and `interface … area`."""
    kept = list(statements)
    passive, timers = _Passive(kept), _Timers(kept)
    return tuple(timers.apply(passive.apply(found)) for s in kept if not s.negated for found in _of(s))


def _of(s: Statement) -> Iterator[InteriorInterface]:
    section, words = s.section.split(), s.words
    match section, words:
        case ["router", "ospf", *_], ("network", text, "area", area, *_) if prefix := _prefix(text):
            yield InteriorInterface("ospf", s.spot, prefix=prefix, area=parse_area(area), vrf=s.vrf)
        case ["router", "ospf6", *_], ("interface", name, "area", area, *_):
            yield InteriorInterface("ospf6", s.spot, name=name, area=parse_area(area), vrf=s.vrf)
        case ["router", ("rip" | "ripng") as protocol, *_], ("network", text, *_):
            prefix = _prefix(text)
            yield InteriorInterface(
                PROTOCOLS[protocol], s.spot, name=None if prefix else text, prefix=prefix, vrf=s.vrf
            )
        case ["router", "rip", *_], ("neighbor", text, *_) if prefix := _prefix(text):
            yield InteriorInterface("rip", s.spot, prefix=prefix, vrf=s.vrf)
        case ["interface", name, *_], ("ip", "ospf", *rest) if "area" in rest[:-1] and rest.index("area") < 2:
            area = rest[rest.index("area") + 1]
            yield InteriorInterface("ospf", s.spot, name=name, area=parse_area(area), vrf=s.vrf)
        case ["interface", name, *_], ("ipv6", "ospf6", "area", area, *_):
            yield InteriorInterface("ospf6", s.spot, name=name, area=parse_area(area), vrf=s.vrf)


class _Passive:
    """The passive interfaces of each protocol and VRF: the default, and the interfaces that differ from it."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._default: dict[tuple[str, str | None], bool] = defaultdict(bool)
        self._named: dict[tuple[str, str | None], dict[str, bool]] = defaultdict(dict)
        for s in statements:
            section, words = s.section.split(), s.plain
            match section, words:
                case ["router", protocol, *_], ("passive-interface", "default", *_):
                    self._default[protocol, s.vrf] = not s.negated
                case ["router", protocol, *_], ("passive-interface", name, *_):
                    self._named[protocol, s.vrf][name] = not s.negated
                case ["interface", name, *_], (
                    ("ip" | "ipv6"),
                    ("ospf" | "ospf6") as protocol,
                    "passive",
                    *_,
                ):
                    self._named[protocol, s.vrf][name] = not s.negated

    def apply(self, found: InteriorInterface) -> InteriorInterface:
        key = (found.protocol, found.vrf)
        default, named = self._default[key], self._named[key]
        if found.name is not None:
            return replace(found, passive=named.get(found.name, default))
        return replace(found, passive=default, exceptions=frozenset(n for n, p in named.items() if p != default))


class _Timers:
    """The hello and dead intervals of OSPF on each interface, and RIP's timers, as FRR 10.3 understands them."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._hello: dict[tuple[str, str], Statement] = {}
        self._dead: dict[tuple[str, str], Statement] = {}
        self._basic: dict[tuple[str, str | None], Statement] = {}
        for s in statements:
            section, words = s.section.split(), s.plain
            match section, words:
                case ["interface", name, *_], ("ip" | "ipv6", "ospf" | "ospf6" as protocol, "hello-interval", *_):
                    self._set(self._hello, (protocol, name), s)
                case ["interface", name, *_], ("ip" | "ipv6", "ospf" | "ospf6" as protocol, "dead-interval", *_):
                    self._set(self._dead, (protocol, name), s)
                case ["router", "rip" | "ripng" as protocol, *_], ("timers", "basic", *numbers):
                    if any(is_number(number) and int(number) < _LEAST for number in numbers):
                        continue  # ripd refuses the line, and keeps what it has
                    self._set(self._basic, (protocol, s.vrf), s)

    def apply(self, found: InteriorInterface) -> InteriorInterface:
        if found.protocol in ("rip", "ripng"):
            return replace(found, detection=self._of_rip(found))
        if found.name is not None:
            return replace(found, detection=self._on(found.protocol, found.name))
        names = [name for protocol, name in {**self._hello, **self._dead} if protocol == found.protocol]
        differing = tuple((name, self._on(found.protocol, name)) for name in dict.fromkeys(names))
        return replace(found, detection=Detection(_DEAD, _HELLO), detections=differing)

    def _on(self, protocol: str, name: str) -> Detection:
        hello, dead = self._hello.get((protocol, name)), self._dead.get((protocol, name))
        every = _seconds(hello.plain[3:4]) if hello else _HELLO
        if dead is not None and dead.plain[3:4] == ("minimal",):
            return Detection(1, 1, dead.spot)  # several packets a second
        if dead is not None:
            return Detection(_seconds(dead.plain[3:4]), every or _HELLO, dead.spot)
        # ospfd takes four times the hello interval, ospf6d its default.
        after = every * _HELLOS if protocol == "ospf" and every else _DEAD if protocol == "ospf6" else every
        return Detection(after, every or _HELLO, hello.spot if hello else None)

    def _of_rip(self, found: InteriorInterface) -> Detection:
        basic = self._basic.get((found.protocol, found.vrf))
        update, timeout = (basic.plain[2:3], basic.plain[3:4]) if basic else ((), ())
        every = _seconds(update) if basic else _UPDATE
        after = _seconds(timeout) if basic else _TIMEOUT
        return Detection(after, (every or _UPDATE) * 3 // 2, basic.spot if basic else None)

    @staticmethod
    def _set(table: dict[_Key, Statement], key: _Key, s: Statement) -> None:
        if s.negated:
            table.pop(key, None)
        else:
            table[key] = s


def _seconds(words: tuple[str, ...]) -> int | None:
    return int(words[0]) if words and is_number(words[0]) else None


def _prefix(text: str) -> Prefix | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
