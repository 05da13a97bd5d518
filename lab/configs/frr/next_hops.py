"""The next hops that FRR's route maps and neighbours set, where they differ from a router's own address."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from lab.configs.disk import Spot
from lab.configs.frr.neighbors import BgpSection
from lab.configs.frr.statements import Statement
from lab.configs.routing.facts import BgpNeighbor
from lab.configs.routing.judged import NextHops, Obstacle
from lab.core.prefixes import Address, Family

_OWN = ("peer-address", "prefer-global", "local")
"""Next hops that are an address of one of both ends of the session."""


def received_next_hops(maps: Sequence[Statement], known: Sequence[Statement]) -> NextHops:
    """Return the next hops that inbound route maps set."""
    given, doubts = _set_by(maps, known)
    return NextHops(tuple(given), doubts[0] if doubts else None)


def sent_next_hops(
    section: BgpSection,
    neighbor: BgpNeighbor,
    family: Family,
    maps: Sequence[Statement],
    known: Sequence[Statement],
    *,
    elsewhere: bool,
) -> NextHops:
    """Return the next hops of routes to a neighbour; `elsewhere` is True if BGP learns routes from others."""
    given, doubts = _set_by(maps, known)
    kept = section.keeps_next_hop(neighbor, family)
    if kept is not None and elsewhere:
        doubts.append(Obstacle(f"`{kept}` keeps the next hops of other neighbours' routes", kept.spot))
    if neighbor.external is not True and elsewhere and not section.has_in_family(neighbor, "next-hop-self", family):
        why = f"iBGP to {neighbor.name} without `next-hop-self` keeps the next hops of other neighbours' routes"
        doubts.append(Obstacle(why, neighbor.spot))
    return NextHops(tuple(given), doubts[0] if doubts else None)


def _set_by(maps: Sequence[Statement], known: Sequence[Statement]) -> tuple[list[tuple[Address, Spot]], list[Obstacle]]:
    given: list[tuple[Address, Spot]] = []
    doubts: list[Obstacle] = []
    for applied in maps:
        for s in _permitted(applied.words[3], known):
            if s.words[0] in ("call", "continue", "on-match"):
                doubts.append(Obstacle(f"`{s}` of {applied.words[3]} is not judged", s.spot))
            elif s.words[:1] == ("set",) and "next-hop" in s.words and not set(_OWN) & {*s.words}:
                try:
                    given.append((ip_address(s.words[-1]), s.spot))
                except ValueError:
                    doubts.append(Obstacle(f"`{s}` keeps the next hops of other routes", s.spot))
    return given, doubts


def _permitted(name: str, known: Sequence[Statement]) -> Iterator[Statement]:
    """Generate the lines of the entries of a route map that permit."""
    for s in known:
        section = s.section.split()
        if section[:2] == ["route-map", name] and section[2:3] == ["permit"] and s.words[0] != "route-map":
            yield s
