"""Shapes of networks: their routers, and the tunnels between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final

MOST_ROUTERS: Final = 1000
"""The largest number of routers; with more, files approach the size that the reader refuses."""
MOST_IN_MESH: Final = 100
"""The largest mesh, which has 4,950 tunnels."""


_MORE: Final = "…"


@dataclass(frozen=True)
class PlannedTunnel:
    """A tunnel of a shape."""

    client: str
    server: str
    via: str = ""
    """The transit router through which the client connects, if there are several."""


@dataclass(frozen=True)
class Shape:
    """Routers, each with a LAN, and tunnels over transit routers to which each router has a link."""

    name: str
    title: str
    """One line: what the shape is."""
    picture: tuple[str, ...]
    routers: tuple[str, ...]
    tunnels: tuple[PlannedTunnel, ...]
    transits: tuple[str, ...] = ("transit",)
    several_paths: bool = False
    """True if several paths without a direct tunnel lead to a prefix, so that static routes cannot describe them."""

    def behind(self, tunnel: PlannedTunnel) -> tuple[list[str], list[str]]:
        """Return the routers that a tunnel leads to at its server's and at its client's end.

        In a tree of tunnels these are the two parts that the tunnel connects, otherwise only its two ends.
        """
        if len(self.tunnels) >= len(self.routers):
            return [tunnel.server], [tunnel.client]
        part = {tunnel.client}
        others = [{other.client, other.server} for other in self.tunnels if other != tunnel]
        while grown := {end for ends in others if ends & part for end in ends} - part:
            part |= grown
        return [r for r in self.routers if r not in part], [r for r in self.routers if r in part]


def pair() -> Shape:
    """Return two sites with a tunnel between them."""
    return Shape(
        "pair",
        "Two sites, and a tunnel between them.",
        ("hq-lan ── hq ══ branch ── branch-lan",),
        ("hq", "branch"),
        (PlannedTunnel("branch", "hq"),),
    )


def hub(spokes: int) -> Shape:
    """Return a hub with a number of spokes, each with a tunnel to the hub."""
    names = _numbered("spoke", spokes)
    return Shape(
        "hub",
        f"A hub with {_count(spokes, 'spoke')}, each with a tunnel to the hub.",
        _star(names, "hub ── hub-lan"),
        ("hub", *names),
        tuple(PlannedTunnel(name, "hub") for name in names),
    )


def mesh(routers: int) -> Shape:
    """Return routers of which each has a tunnel to each other one."""
    names = _numbered("r", routers)
    return Shape(
        "mesh",
        f"A full mesh: {_count(routers, 'router')}, each with a tunnel to each other one.",
        tuple(f"{name}-lan ── {name} ══ all others" if name != _MORE else name for name in _shortened(names)),
        names,
        tuple(PlannedTunnel(later, earlier) for earlier, later in combinations(names, 2)),
    )


def chain(routers: int) -> Shape:
    """Return routers of which each has a tunnel to the one before it."""
    names = _numbered("r", routers)
    return Shape(
        "chain",
        f"A chain: {_count(routers, 'router')}, each with a tunnel to the one before it.",
        (f"{names[0]}-lan ── {' ══ '.join(_shortened(names))} ── {names[-1]}-lan",),
        names,
        tuple(PlannedTunnel(later, earlier) for earlier, later in pairwise(names)),
    )


def ring(routers: int) -> Shape:
    """Return routers in a ring: each has a tunnel to the one before it, and the first to the last."""
    names = _numbered("r", routers)
    line = " ══ ".join(_shortened(names))
    return Shape(
        "ring",
        f"A ring: {_count(routers, 'router')}, each with a tunnel to both sides.",
        (line, f"╚{'═' * (len(line) - 2)}╝"),
        names,
        tuple(PlannedTunnel(name, before) for before, name in zip((names[-1], *names), names, strict=False)),
        several_paths=True,
    )


def dual_homed() -> Shape:
    """Return two sites with two providers each, and a tunnel over each provider."""
    return Shape(
        "dual-homed",
        "Two sites with two providers, and a tunnel over each of them: if one path fails, the other carries on.",
        (
            "             ╔═ isp1 ═╗",
            "hq-lan ── hq ╣        ╠ branch ── branch-lan",
            "             ╚═ isp2 ═╝",
        ),
        ("hq", "branch"),
        (PlannedTunnel("branch", "hq", "isp1"), PlannedTunnel("branch", "hq", "isp2")),
        ("isp1", "isp2"),
        several_paths=True,
    )


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}{number}" for number in range(1, count + 1))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _shortened(names: Sequence[str]) -> list[str]:
    """Return the names, or the first two and the last of more than four."""
    return list(names) if len(names) <= 4 else [*names[:2], _MORE, names[-1]]


def _star(names: Sequence[str], middle: str) -> tuple[str, ...]:
    """Draw one line for each name, and tunnels from all of them to the middle."""
    shown = _shortened(names)
    last, width = len(shown) - 1, len(names[-1])
    lines = []
    for number, name in enumerate(shown):
        left = f"{f'{name}-lan ── {name}':{2 * width + 8}} ══" if name != _MORE else f"{_MORE:{2 * width + 11}}"
        joint = "═" if last == 0 else "╗" if number == 0 else "╝" if number == last else "║" if name == _MORE else "╣"
        if number == last // 2:
            joint = f"{ {'╗': '╦', '╣': '╬'}.get(joint, joint) }══ {middle}"
        lines.append(left + joint)
    return tuple(lines)
