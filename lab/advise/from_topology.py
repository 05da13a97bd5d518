"""The ends of tunnels in a topology: its files are rendered, then read like those of a user."""

import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.advise.across import Across, across
from lab.advise.subject import Subject
from lab.configs import bird, frr
from lab.configs.disk import Disk
from lab.configs.openvpn import configuration as openvpn
from lab.configs.openvpn.client_options import read_client_options
from lab.configs.openvpn.configuration import Configuration
from lab.configs.routing.judged import RoutingConfiguration
from lab.image import OLD_VERSIONS, VERSIONS
from lab.render.files import render
from lab.routing import daemons, plan_routers
from lab.topology import EndAddresses, Endpoint, Link, Prefix, Topology, Tunnel
from lab.topology.model import DEFAULT_MTU
from lab.tunnel import processes
from lab.tunnel.mode import End, Process
from lab.tunnel.pki import Authority


@dataclass(frozen=True)
class TunnelEnd:
    """An end of a tunnel of a topology, as a subject of rules."""

    tunnel: str
    end: End
    node: str
    subject: Subject


def subjects_of_topology(topology: Topology) -> list[Subject]:
    """Render all files of a topology into a temporary directory, and read them."""
    return [found.subject for found in ends_of_topology(topology)]


def ends_of_topology(topology: Topology) -> list[TunnelEnd]:
    """Return the ends of all tunnels, without those at external nodes, read as `subjects_of_topology` does."""
    with tempfile.TemporaryDirectory(prefix="lab-advise-") as directory:
        roots = {name: Path(directory, name) for name in topology.nodes}
        render(topology, Authority.new("advice"), roots)
        return [found for tunnel in topology.tunnels for found in _ends(topology, tunnel, roots)]


def _ends(topology: Topology, tunnel: Tunnel, roots: Mapping[str, Path]) -> list[TunnelEnd]:
    ends = processes(tunnel, topology.processes)
    read: dict[End, Configuration] = {
        end: openvpn.read(process.configuration, Disk(roots[process.node], process.node))
        for end, process in ends.items()
    }
    given = {end: read_client_options(configuration) for end, configuration in read.items()}
    at: dict[End, EndAddresses] = {"server": tunnel.server_at, "client": tunnel.client_at}
    others: dict[End, End] = {"server": "client", "client": "server"}
    found: list[TunnelEnd] = []
    path = _path(topology, tunnel)
    nodes: dict[End, str] = {"server": tunnel.server, "client": tunnel.client}
    for end, node in nodes.items():
        if topology.nodes[node].external:  # it has no such files
            continue
        other = others[end]
        there = nodes[other]
        router, why = _router(topology, node, roots)
        peer_router, _ = _router(topology, there, roots)
        runs = {
            node: across(router, read[end], read[other], given[end]) if router else Across(),
            there: across(peer_router, read[other], read[end], given[other]) if peer_router else Across(),
        }
        subject = Subject(
            name=f"{tunnel.name}: {end} on {node}",
            end=read[end],
            client_options=given[end],
            peer=read[other],
            peer_client_options=given[other],
            common_name=_common_name(ends[end], node),
            openvpn=_version(topology, node),
            peer_openvpn=_version(topology, there),
            routes=_routes(topology, tunnel, runs),
            router=router,
            no_router=why,
            peer_router=peer_router,
            peer_hold=_hold(topology, there, runs[there]),
            peer_outer=tuple(a for a in (at[other].outer,) if a is not None),
            path_mtu=_path_mtu(path),
            path_jitter=_path_jitter(path, end),
            static_routes=_static_routes(topology, node),
        )
        found.append(TunnelEnd(tunnel.name, end, node, subject))
    return found


def _routes(topology: Topology, tunnel: Tunnel, runs: Mapping[str, Across]) -> bool | None:
    """Return whether daemons have sessions through a tunnel, which need one at both ends; None if unknown.

    The other end of a client's session may also be another client of the same server.
    """
    same = [t for t in topology.tunnels if t.server == tunnel.server and t.shared == tunnel.shared is not None]
    nodes = {*runs, *(other.client for other in same)}
    if sum(topology.nodes[node].intent.router is not None for node in nodes) < 2:
        return False
    # The lab's own files always have them; the user's may have others only.
    own = [found for node, found in runs.items() if node in topology.own_routers]
    return True if all(found.spots for found in own) else None


def _hold(topology: Topology, node: str, runs: Across) -> int | None:
    router = topology.nodes[node].intent.router
    return runs.hold if node in topology.own_routers or router is None else router.timers.hold


def _common_name(process: Process, node: str) -> str:
    return process.own.common_name or node if process.own else node


def _router(topology: Topology, node: str, roots: Mapping[str, Path]) -> tuple[RoutingConfiguration | None, str]:
    plan = plan_routers(topology).get(node)
    if plan is None:
        return None, "no routing daemon runs at this end"
    daemon, disk = daemons()[plan.daemon], Disk(roots[node], node)
    if daemon.frr_conf is not None:
        # The user's own files may be one for each daemon.
        found = [path for path in disk.files(daemon.frr_conf.parent) if frr.is_file(path, disk)]
        return (frr.merge(found, disk).configuration, "") if found else (None, "the node has no file of FRR")
    if daemon.bird_conf is not None:
        return bird.read(daemon.bird_conf, disk), ""
    return None, f"only files of FRR and BIRD can be read, not the configuration of {plan.daemon}"


def _version(topology: Topology, node: str) -> str | None:
    """Return OpenVPN's version from the tag of the node's image; None for other images."""
    tag = (topology.nodes[node].image or "").rpartition(":")[2]
    return tag if tag in (*VERSIONS, *OLD_VERSIONS) else None


def _path(topology: Topology, tunnel: Tunnel) -> list[tuple[Link, Endpoint]]:
    """Return the links of a shortest path from a tunnel's client to its server, each with the end nearer the client."""
    waiting: deque[tuple[str, list[tuple[Link, Endpoint]]]] = deque([(tunnel.client, [])])
    seen: set[str] = set()
    while waiting:
        node, path = waiting.popleft()
        if node == tunnel.server:
            return path
        if node in seen:
            continue
        seen.add(node)
        for link in topology.links:
            if link.intent.encapsulation is not None or node not in (ends := [e.node for e in link.endpoints]):
                continue
            leaving = link.endpoints[ends.index(node)]
            for other in ends:
                if node != tunnel.client or tunnel.via in (None, other):
                    waiting.append((other, [*path, (link, leaving)]))
    return []


def _path_mtu(path: Sequence[tuple[Link, Endpoint]]) -> int | None:
    """Return the smallest MTU of the links on a path; None without one."""
    return min([DEFAULT_MTU, *(link.mtu or DEFAULT_MTU for link, _ in path)]) if path else None


def _path_jitter(path: Sequence[tuple[Link, Endpoint]], end: End) -> float | None:
    """Return the largest deviation from the delay of packets to an end, in milliseconds; None if it is not known."""
    found = 0.0
    for link, near in path:
        far = next(each for each in link.endpoints if each != near)
        impairment = link.impairment(near if end == "server" else far)
        if impairment is None:
            continue
        if impairment.rate is not None:  # the queue delays packets as long as it is filled
            return None
        # A packet that overtakes others has no delay at all.
        found += impairment.delay if impairment.reorder else impairment.jitter
    return found if path else None


def _static_routes(topology: Topology, node: str) -> frozenset[Prefix]:
    return frozenset(r.to for r in topology.nodes[node].intent.routes if not isinstance(r.to, str))
