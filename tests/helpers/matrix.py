"""The matrix of modes, versions, underlays and daemons for dynamic routing over one tunnel."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from typing import Any, Literal

from lab.core.prefixes import FAMILIES
from lab.image import VERSIONS
from lab.topology import Family

Transport = Literal["tcp", "udp"]
Pairs = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Shape:
    """A tunnel's mode with the options that change how OpenVPN handles packets."""

    name: str
    mode: str
    options: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True)
class Speakers:
    """The two routers, as in a topology file."""

    name: str
    daemons: tuple[str, str]
    kind: str
    """The traffic that they need in the tunnel: TCP between its addresses, link-local packets or multicast. Support for
    it depends on the mode, not on the daemon."""
    hq: str
    branch: str


@dataclass(frozen=True)
class Underlay:
    """The transport and family of a tunnel's outer packets."""

    transport: Transport
    outer: Family

    def __str__(self) -> str:
        return f"{self.transport}-{self.outer}"


@dataclass(frozen=True)
class Case:
    """One lab of the matrix."""

    shape: Shape
    openvpn: str
    underlay: Underlay
    speakers: Speakers

    def __str__(self) -> str:
        return f"{self.shape.name}-{self.underlay}-openvpn-{self.openvpn}-{self.speakers.name}"

    @property
    def tunnel(self) -> Mapping[str, Any]:
        """The overrides for the tunnel of the topology."""
        return {
            "mode": self.shape.mode,
            "transport": self.underlay.transport,
            "outer": self.underlay.outer,
            "options": self.shape.options,
        }

    @property
    def tunnels_own(self) -> tuple[str, ...]:
        """The choices of the tunnel."""
        return (
            f"shape {self.shape.name}",
            f"openvpn {self.openvpn}",
            f"transport {self.underlay.transport}",
            f"outer {self.underlay.outer}",
        )

    @property
    def pairs(self) -> Pairs:
        """The pairs of choices in this case; with a tunnel's choices only the kind of the routers is paired."""
        kind = f"kind {self.speakers.kind}"
        return frozenset({*combinations((*self.tunnels_own, kind), 2), (kind, f"speakers {self.speakers.name}")})


SHAPES = (
    *(
        Shape(f"iroute-{topology}-{hand_out}", "iroute", {"topology": topology, "hand-out": hand_out})
        for topology in ("net30", "subnet")
        for hand_out in ("client-connect", "client-config-dir")
    ),
    Shape("p2p-tls", "p2p-tls", {}),
    Shape("p2p-static-key", "p2p-static-key", {}),
    Shape("tap", "tap", {}),
)

TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp")
UNDERLAYS = tuple(Underlay(*choice) for choice in product(TRANSPORTS, FAMILIES))

DAEMONS = (("frr", "frr"), ("bird", "bird"), ("bird3", "bird3"), ("frr", "bird"))


def _speakers(one: str, other: str) -> list[Speakers]:
    """Return all protocols and sessions that two daemons support with each other."""
    name = one if one == other else f"{one}-{other}"

    def bgp(what: str, kind: str, asn: int, more: str = "") -> Speakers:
        ends = (f"daemon: {one}, asn: 65001{more}", f"daemon: {other}, asn: {asn}{more}")
        return Speakers(f"{name}-{what}", (one, other), kind, *ends)

    found = [
        bgp("bgp", "tcp", 65002),
        bgp("bgp-per-family", "tcp", 65002, ", sessions: per-family"),
        bgp("ibgp", "tcp", 65001),
    ]
    if one == "frr":  # one of the two has to discover the other, which BIRD cannot do: tests/daemons/test_refusals.py
        found.append(bgp("bgp-unnumbered", "link-local", 65002, ", sessions: unnumbered"))
    for protocol in ("ospf", "rip"):
        ends = (f"daemon: {one}, protocol: {protocol}", f"daemon: {other}, protocol: {protocol}")
        found.append(Speakers(f"{name}-{protocol}", (one, other), protocol, *ends))
    return found


SPEAKERS = (
    *(speakers for daemons in DAEMONS for speakers in _speakers(*daemons)),
    # The passive end differs in BIRD 3; everything else is as in BIRD 2.
    *(speakers for speakers in _speakers("frr", "bird3") if speakers.kind == "link-local"),
)


@cache
def whole() -> tuple[Case, ...]:
    """Return all combinations."""
    return tuple(Case(*choice) for choice in product(SHAPES, VERSIONS, UNDERLAYS, SPEAKERS))


@cache
def pairwise() -> tuple[Case, ...]:
    """Select combinations that cover every pair of choices, greedily by new pairs and rare choices."""
    left = {case: case.pairs for case in whole()}
    chosen: list[Case] = []
    taken = Counter[str]()
    while left:
        best = max(left, key=lambda case: (len(left[case]), -sum(taken[choice] for choice in case.tunnels_own)))
        taken.update(best.tunnels_own)
        added = left[best]
        chosen.append(best)
        left = {case: rest for case, pairs in left.items() if (rest := pairs - added)}
    return tuple(chosen)


def cases(matrix: str) -> tuple[Case, ...]:
    """Return the cases for a value of `--lab-matrix`."""
    return whole() if matrix == "whole" else pairwise()


def underlays(matrix: str) -> tuple[Underlay, ...]:
    """Return underlays for a test without other choices: two that cover all transports and families, or all."""
    return UNDERLAYS if matrix == "whole" else (UNDERLAYS[0], UNDERLAYS[-1])
