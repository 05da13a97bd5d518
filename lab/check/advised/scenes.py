"""The scenes of a lab's tunnels: the files of both ends, and the networks behind them that the files name."""

from collections.abc import Iterable, Mapping

from lab.advise import Subject, TunnelEnd
from lab.check.advised.scene import Scene
from lab.check.derived.ends import ends_of
from lab.check.derived.openvpn_routes import routes_into_tunnels
from lab.check.derived.sessions import Sessions
from lab.check.derived.sites import hosts_behind, links_outside
from lab.core.prefixes import Address, Prefix
from lab.runtime.lab import Lab
from lab.topology import Topology
from lab.tunnel.mode import End


def scene_of(lab: Lab, name: str) -> Scene | None:
    """Return the scene of a tunnel; None if an end is at an external node, which has no files."""
    ends = ends_of(lab.topology)
    server, client = ends.get((name, "server")), ends.get((name, "client"))
    if server is None or client is None:
        return None
    networks = networks_behind(lab.topology, ends.values())
    return Scene(
        lab,
        lab.tunnel(name),
        server.subject.end,
        client.subject.end,
        client_options=server.subject.client_options,
        behind_client=networks.get(client.node, {}),
        behind_server=networks.get(server.node, {}),
        common_name=client.subject.common_name,
        timeouts=timeouts_of({"server": server.subject, "client": client.subject}),
        hold=hold_of(server.subject),
    )


def timeouts_of(subjects: Mapping[End, Subject]) -> dict[End, int | None]:
    """Return the seconds without a packet until each end restarts, as far as its files show them."""
    found = {end: subject.timeout() for end, subject in subjects.items()}
    return {end: timeout[0] for end, timeout in found.items() if timeout is not None}


def hold_of(subject: Subject) -> int | None:
    """Return the hold time in seconds that both ends agree on; None if it is unknown, or if an end has BFD."""
    here, there = subject.runs, subject.peer_runs
    if any(n.bfd for n in (*here.neighbors, *there.neighbors)) or not here.hold or not subject.peer_hold:
        return None
    return min(here.hold, subject.peer_hold)


def networks_behind(topology: Topology, ends: Iterable[TunnelEnd]) -> Mapping[str, Mapping[Prefix, Address]]:
    """Return the networks behind each node that its files, or those of other ends, name."""
    ends = tuple(ends)
    configurations = {end.node: end.subject.router for end in ends if end.subject.router is not None}
    named: dict[str, set[Prefix]] = {}
    for arrival in Sessions(topology, configurations).arrivals():
        named.setdefault(arrival.origin, set()).add(arrival.prefix)
    for into in routes_into_tunnels(topology, ends):
        named.setdefault(into.other, set()).update(into.prefixes)
    clients = {tunnel.name: tunnel.client for tunnel in topology.tunnels}
    for end in ends:
        mine = (of for name, of in end.subject.client_options.clients if name in (None, _name(end, ends)))
        if end.end == "server":
            found = {inner.network for inners in mine for inner in inners if not inner.is_default}
            named.setdefault(clients[end.tunnel], set()).update(found)
    return {
        node: {prefix: address for prefix in prefixes if (address := _address_in(topology, node, prefix)) is not None}
        for node, prefixes in named.items()
    }


def _name(end: TunnelEnd, ends: Iterable[TunnelEnd]) -> str | None:
    """Return the common name of the client of an end's tunnel."""
    other = next((e for e in ends if e.tunnel == end.tunnel and e.end == "client"), None)
    return other.subject.common_name if other is not None else None


def _address_in(topology: Topology, node: str, prefix: Prefix) -> Address | None:
    """Return an address in a prefix: of a node on its links to hosts, or of a host behind it."""
    outside = {(end.node, end.interface) for link in links_outside(topology) for end in link.endpoints}
    own = [
        address.ip
        for link in topology.links
        for end in link.endpoints
        if end.node == node and (end.node, end.interface) not in outside
        for address in end.addresses
    ]
    hosts = [host.address for host in hosts_behind(topology, node)]
    return next((a for a in (*own, *hosts) if a.version == prefix.version and a in prefix), None)
