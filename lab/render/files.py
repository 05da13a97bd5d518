"""Rendering of all files of a topology's nodes, below a directory per node."""

from collections.abc import Mapping
from pathlib import Path

from lab.core.files import write_all
from lab.own import write_files
from lab.render.bsd import bsd_files, system_of
from lab.render.routeros import COMMANDS, commands
from lab.routing import daemon_of, plan_routers
from lab.topology import Topology
from lab.tunnel import write_tunnel
from lab.tunnel.pki import Authority


def render(topology: Topology, authority: Authority, roots: Mapping[str, Path]) -> None:
    """Write all configurations, keys and scripts below the nodes' directories, and commands for external nodes."""
    for plan in plan_routers(topology).values():
        write_all(daemon_of(plan).render(plan), roots[plan.node])
    for tunnel in topology.tunnels:
        write_tunnel(tunnel, authority, roots)
    write_files(topology, authority, roots)
    for name, node in topology.nodes.items():
        if node.external:
            roots[name].mkdir(parents=True, exist_ok=True)
            if (system := system_of(node)) is None:
                (roots[name] / COMMANDS).write_text(commands(topology, name))
                continue
            for file in list(bsd_files(topology, name, system, roots[name])):
                file.write_below(roots[name] / system.name)
