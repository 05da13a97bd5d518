"""The routes into a tunnel that OpenVPN's own files set: `route` lines, and those that a server pushes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lab.advise import Subject, TunnelEnd
from lab.advise.across import into_tunnel
from lab.core.prefixes import Prefix
from lab.topology import Topology

_ROUTES = ("route", "route-ipv6")


@dataclass(frozen=True)
class Into:
    """The prefixes that one end of a tunnel sends to the other."""

    node: str
    other: str
    prefixes: frozenset[Prefix]


def routes_into_tunnels(topology: Topology, ends: Iterable[TunnelEnd]) -> list[Into]:
    """Return the routes of both ends of each tunnel; none of names, and none through another gateway."""
    tunnels = {tunnel.name: tunnel for tunnel in topology.tunnels}
    found = []
    for end in ends:
        tunnel = tunnels[end.tunnel]
        other = tunnel.client if end.end == "server" else tunnel.server
        found.append(Into(end.node, other, frozenset(_prefixes(end.subject))))
    return found


def _prefixes(subject: Subject) -> Iterator[Prefix]:
    directives = subject.end.all(*_ROUTES)
    if not subject.end.has("route-nopull"):
        directives = [*directives, *(d for d in subject.pushes if d.name in _ROUTES)]
    # The tunnel's network, in which a gateway may be, is in the file of one end.
    files = [file for file in (subject.end, subject.peer) if file is not None]
    for directive in directives:
        if network := next((n for file in files if (n := into_tunnel(file, directive)) is not None), None):
            yield network
