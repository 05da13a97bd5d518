"""The ends of tunnels in a topology: its files are rendered, then read like those of a user."""

import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from lab.advise import frr, openvpn
from lab.advise.client_options import read_client_options
from lab.advise.disk import Disk
from lab.advise.openvpn import Configuration
from lab.advise.subject import Subject
from lab.image import VERSIONS
from lab.render.files import render
from lab.routing import daemons, plan_routers
from lab.topology import Prefix, Topology, Tunnel
from lab.topology.model import DEFAULT_MTU
from lab.tunnel import processes
from lab.tunnel.mode import End
from lab.tunnel.pki import Authority


def subjects_of_topology(topology: Topology) -> list[Subject]:
    """Render all files of a topology into a temporary directory, and read them."""
    with tempfile.TemporaryDirectory(prefix="lab-advise-") as directory:
        roots = {name: Path(directory, name) for name in topology.nodes}
        render(topology, Authority.new("advice"), roots)
        return [subject for tunnel in topology.tunnels for subject in _ends(topology, tunnel, roots)]


def _ends(topology: Topology, tunnel: Tunnel, roots: Mapping[str, Path]) -> list[Subject]:
    read: dict[End, Configuration] = {
        end: openvpn.read(process.configuration, Disk(roots[process.node], process.node))
        for end, process in processes(tunnel).items()
    }
    given = {end: read_client_options(configuration) for end, configuration in read.items()}
    others: dict[End, End] = {"server": "client", "client": "server"}
    subjects = []
    nodes: dict[End, str] = {"server": tunnel.server, "client": tunnel.client}
    for end, node in nodes.items():
        if topology.nodes[node].external:  # it has no such files
            continue
        other = others[end]
        there = nodes[other]
        far_router = topology.nodes[there].intent.router
        router, why = _router(topology, node, roots)
        subjects.append(
            Subject(
                name=f"{tunnel.name}: {end} on {node}",
                end=read[end],
                client_options=given[end],
                peer=read[other],
                peer_client_options=given[other],
                common_name=node,
                openvpn=_version(topology, node),
                # Sessions through the tunnel need a router at both ends.
                routes=topology.nodes[node].intent.router is not None and far_router is not None,
                frr=router,
                no_frr=why,
                peer_hold=far_router.timers.hold if far_router else None,
                peer_outer=(tunnel.client_outer if end == "server" else tunnel.server_outer,),
                path_mtu=_path_mtu(topology, tunnel),
                static_routes=_static_routes(topology, node),
            )
        )
    return subjects


def _router(topology: Topology, node: str, roots: Mapping[str, Path]) -> tuple[frr.FrrConfiguration | None, str]:
    plan = plan_routers(topology).get(node)
    if plan is None:
        return None, "no routing daemon runs at this end"
    path = daemons()[plan.daemon].frr_conf
    if path is None:
        return None, f"only frr.conf can be read, not the configuration of {plan.daemon}"
    return frr.read(path, Disk(roots[node], node)), ""


def _version(topology: Topology, node: str) -> str | None:
    """Return OpenVPN's version from the tag of the node's image; None for other images."""
    tag = (topology.nodes[node].image or "").rpartition(":")[2]
    return tag if tag in VERSIONS else None


def _path_mtu(topology: Topology, tunnel: Tunnel) -> int | None:
    """Return the smallest MTU of the links on a shortest path between a tunnel's ends."""
    waiting: deque[tuple[str, int]] = deque([(tunnel.client, DEFAULT_MTU)])
    seen: set[str] = set()
    while waiting:
        node, narrowest = waiting.popleft()
        if node == tunnel.server:
            return narrowest
        if node in seen:
            continue
        seen.add(node)
        for link in topology.links:
            if link.intent.encapsulation is not None or node not in (ends := [e.node for e in link.endpoints]):
                continue
            for other in ends:
                if node != tunnel.client or tunnel.via in (None, other):
                    waiting.append((other, min(narrowest, link.mtu or DEFAULT_MTU)))
    return None


def _static_routes(topology: Topology, node: str) -> frozenset[Prefix]:
    return frozenset(r.to for r in topology.nodes[node].intent.routes if not isinstance(r.to, str))
