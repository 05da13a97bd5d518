"""A topology for containerlab itself: plain Linux nodes, with the lab's files bound into them and started by `exec`.

Nothing of this lab's runs there but the node image. Each node has one script, which makes bridges, sets
addresses and static routes, and starts OpenVPN and the routing daemon.
"""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lab.core.errors import InputError
from lab.engine import NODE_SYSCTLS, NodeSpec
from lab.render.node_spec import image_of, is_foreign, node_spec
from lab.render.open_vswitch import bridge_commands
from lab.routing import RouterPlan, daemon_of, plan_routers
from lab.topology import Impairment, Interface, Topology
from lab.topology.segments import endpoints_of, static_routes
from lab.topology.written import link_data, node_data, topology_text
from lab.tunnel.mode import LOGS, SOCKETS, Process, processes

SCRIPT: Final = PurePosixPath("/usr/local/sbin/start-node")
"""A node's script, in the node; on the host it is `start-node` in the node's directory."""


def containerlab(topology: Topology, out: Path) -> Mapping[Path, str]:
    """Return the topology's file for containerlab and the nodes' scripts, by path below `out`.

    The nodes' configurations are below `out` already, a directory a node. Raises `InputError` for what needs this lab:
    files of the user's own, kernel tunnels as links, RouterOS with a configuration.
    """
    _refuse(topology)
    plans = plan_routers(topology)
    written: dict[Path, str] = {}
    nodes: dict[str, Any] = {}
    for name, node in topology.nodes.items():
        script = "\n".join(_script(topology, name, plans.get(name)))
        if node.external or node.borrowed or (is_foreign(node) and not script):
            nodes[name] = node_data(node, with_intent=False)
            continue
        if script:
            written[out / name / SCRIPT.name] = f"{_HEAD}{script}\n"
        nodes[name] = _node(topology, name, bool(script))
    links = [link_data(link, with_intent=False) for link in topology.links]
    written[out / f"{topology.name}.clab.yml"] = topology_text(topology, nodes, links)
    return written


_HEAD = "#!/bin/sh\n# Start this node. containerlab runs it when the node's links are up.\n"


def _refuse(topology: Topology) -> None:
    if topology.processes or topology.own_routers or any(n.intent.nftables for n in topology.nodes.values()):
        raise InputError(f"{topology.file}: files of your own are bound and started by this lab only")
    for link in topology.links:
        if link.intent.encapsulation is not None:
            what = " - ".join(f"{end.node}:{end.interface}" for end in link.endpoints)
            raise InputError(f"{topology.file}: the link {what} is a kernel tunnel, which containerlab has no link for")


def _node(topology: Topology, name: str, has_script: bool) -> dict[str, Any]:
    """Return the definition of a node of Linux, with what its role in the lab needs."""
    node = topology.nodes[name]
    # Paths are relative to the file, so that the directory can be moved.
    spec = node_spec(topology, name, image_of(topology, name), Path("/lab"))
    data = node_data(node, with_intent=False)
    data |= {"kind": "linux", "image": spec.node.image, "network-mode": node.network_mode}
    if not is_foreign(node):
        data["privileged"] = False
        data["cap-add"] = list(dict.fromkeys(["NET_ADMIN", *(spec.capabilities or ())]))
        data["sysctls"] = {**NODE_SYSCTLS, **spec.sysctls, **node.sysctls}
    if devices := [*spec.devices, *node.devices]:
        data["devices"] = list(dict.fromkeys(devices))
    binds = [*node.binds, *_binds(name, spec)]
    commands = [command if is_foreign(node) else f"sh -c {shlex.quote(command)}" for command in node.exec]
    if has_script:
        binds.append(f"{name}/{SCRIPT.name}:{SCRIPT}:ro")
        commands.append(f"sh {SCRIPT}")
    return data | ({"binds": binds} if binds else {}) | ({"exec": commands} if commands else {})


def _binds(name: str, spec: NodeSpec) -> Iterator[str]:
    """Yield the binds of the configurations; the logs stay in the node."""
    for mount in spec.mounts:
        if mount.read_only:
            yield f"{name}{mount.target}:{mount.target}:ro"


def _script(topology: Topology, name: str, plan: RouterPlan | None) -> Iterator[str]:
    """Yield the commands of a node's script."""
    node = topology.nodes[name]
    ports = [end.interface for end in endpoints_of(topology, name)]
    if node.kind == "bridge":
        yield f"ip link add {name} type bridge"
        yield from (f"ip link set {port} master {name}" for port in ports)
        yield f"ip link set {name} up"
    elif node.kind == "ovs-bridge":
        yield from map(shlex.join, bridge_commands(name, ports))
    for end in endpoints_of(topology, name) if not node.external else ():
        # containerlab hands the addresses of links to network operating systems only.
        yield from (f"ip address replace {address} dev {end.interface}{_no_dad(address)}" for address in end.addresses)
    for link in topology.links:
        for end in link.endpoints:
            if end.node == name and (impairment := link.impairment(end)) is not None:
                yield f"tc qdisc replace dev {end.interface} root netem {netem(impairment)}"
    for prefix, via in static_routes(topology).get(name, ()) if not node.external else ():
        yield f"ip route replace {prefix} via {via}"
    ends = [process for tunnel in topology.tunnels for process in processes(tunnel).values() if process.node == name]
    if ends:
        yield f"mkdir -p {LOGS} {SOCKETS}"
    yield from dict.fromkeys(_openvpn(process) for process in ends)
    if plan is not None and not node.external:
        daemon = daemon_of(plan)
        yield f"mkdir -p {daemon.logs}"
        yield shlex.join(daemon.start_command(plan))


def _no_dad(address: Interface) -> str:
    return " nodad" if address.version == 6 else ""


def _openvpn(process: Process) -> str:
    return shlex.join([*process.argv, "--daemon"])


def netem(impairment: Impairment) -> str:
    """Return an impairment as arguments of netem (tc-netem(8))."""
    words = []
    if impairment.delay:
        words.append(f"delay {impairment.delay:g}ms" + (f" {impairment.jitter:g}ms" if impairment.jitter else ""))
    words += [f"{key} {value:g}%" for key in ("loss", "duplicate", "reorder") if (value := getattr(impairment, key))]
    if impairment.rate is not None:
        words.append(f"rate {impairment.rate}kbit")
    return " ".join(words)
