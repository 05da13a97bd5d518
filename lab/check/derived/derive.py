"""Derive expectations: tunnels, sessions, routes, packets between hosts, and nothing of them in clear outside."""

from collections.abc import Iterator

from lab.check.derived.ends import ends_of
from lab.check.derived.reach import Way, Ways, inner_addresses, name_of
from lab.check.derived.sessions import Arrival, Sessions
from lab.check.derived.sites import links_outside
from lab.check.derived.undecided import Undecided
from lab.check.expectations.clear import NothingInClear
from lab.check.expectations.reaches import Reaches
from lab.check.expectations.route import RoutePresent
from lab.check.expectations.session import SessionState
from lab.check.expectations.tunnel import TunnelState
from lab.check.model import Checks, Expected, derived
from lab.core.prefixes import Prefix, named
from lab.topology import Link, Topology

_POLICY = "a policy on the way depends on what the files do not tell"


def derive(topology: Topology) -> Checks:
    """Return the expectations that follow from a topology.

    A route, or an answer, is expected if the policies of all routers on the way let it; where one cannot be judged, the
    expectation is `Undecided`. External nodes, which the user configures, are left out.
    """
    ends = tuple(ends_of(topology).values())
    configurations = {end.node: end.subject.router for end in ends if end.subject.router is not None}
    sessions = Sessions(topology, configurations)
    arrivals = tuple(sessions.arrivals())
    ways = list(Ways(topology, arrivals, ends))
    return derived(
        [
            *_tunnels(topology),
            *(SessionState(session=other, node=name) for name, other in sessions.neighbors()),
            *_routes(arrivals),
            *_inside(topology),
            *_reaching(topology, ways),
        ]
    )


def _tunnels(topology: Topology) -> Iterator[Expected]:
    for tunnel in topology.tunnels:
        if not any(topology.nodes[end].external for end in (tunnel.server, tunnel.client)):
            yield TunnelState(tunnel=tunnel.name)


def _routes(arrivals: tuple[Arrival, ...]) -> Iterator[Expected]:
    """Return the expected routes, one entry for all prefixes of a family of a router at another one."""
    grouped: dict[tuple[str, str, int, bool], list[Prefix]] = {}
    for arrival in arrivals:
        key = (arrival.router, arrival.origin, arrival.prefix.version, arrival.certain)
        grouped.setdefault(key, []).append(arrival.prefix)
    for (router, origin, _, certain), prefixes in sorted(grouped.items()):
        if certain:
            yield RoutePresent(route=tuple(prefixes), node=router)
        else:
            yield Undecided(at=router, what=f"{named(prefixes)} of {origin} in the FIB of {router}", why=_POLICY)


def _inside(topology: Topology) -> Iterator[Expected]:
    """Return the expected answers of the inner addresses of tunnels."""
    pairs = dict.fromkeys((node, str(address)) for _, node, address in inner_addresses(topology))
    return (_reaches(node, address) for node, address in pairs)


def _reaching(topology: Topology, ways: list[Way]) -> Iterator[Expected]:
    """Return the expected answers of hosts behind sites; those with large packets once for each pair."""
    for way in ways:
        if not way.certain:
            what = f"{way.source} reaches {way.host.node} ({way.family})"
            yield Undecided(at=way.source, what=what, why=_POLICY)
            continue
        yield _reaches(way.source, name_of(topology, way.host), family=way.family)
    once = {frozenset({way.source, way.host.node, way.family}): way for way in reversed(ways) if way.certain}
    for way in reversed(once.values()):
        yield _reaches(way.source, name_of(topology, way.host), family=way.family, size=way.size, df=True)
    if links := tuple(_end_of(topology, link) for link in links_outside(topology)):
        for way in reversed(once.values()):
            keys = {"nothing-in-clear": links, "from": way.source, "to": name_of(topology, way.host)}
            yield NothingInClear.model_validate({**keys, "family": way.family})


def _reaches(source: str, target: str, **more: object) -> Expected:
    return Reaches.model_validate({"from": source, "reaches": target, **more})


def _end_of(topology: Topology, link: Link) -> str:
    """Return the end of a link at which packets can be captured."""
    end = next(end for end in link.endpoints if not topology.nodes[end.node].is_bridge)
    return f"{end.node}:{end.interface}"
