"""From the topology to what the engine is asked for: pure functions, nothing is started here."""

from collections.abc import Mapping
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path, PurePosixPath

from lab.engine import HOSTS, Mount, NodeSpec
from lab.engine.node import node_files
from lab.image import is_ours
from lab.routing import daemons
from lab.topology import Address, Endpoint, Node, Prefix, StaticRoute, Topology, substitute
from lab.tunnel.mode import CONFIGURATION, LOGS

_BASIC = ("NET_RAW",)
"""What tcpdump and ping need; all that a host of an image of ours gets, beside what its topology adds."""
_NETWORKING = ("NET_ADMIN",)
_TUN = "/dev/net/tun"
FILES_INSIDE = PurePosixPath("/ftpboot")
"""Where an external node finds its commands, certificates and keys."""
_FORWARDING = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
"""What makes a node a router; a topology may say otherwise."""


def endpoints_of(topology: Topology, node: str) -> list[Endpoint]:
    """The ends of links on a node, in the file's order."""
    return [e for link in topology.links for e in link.endpoints if e.node == node]


def neighbors_of(topology: Topology, node: str) -> list[tuple[Endpoint, Endpoint]]:
    """Pairs of an own and another node's endpoint that share a wire or a bridge."""
    pairs = []
    for here in endpoints_of(topology, node):
        pairs += [(here, there) for there in _segment(topology, here) if there.node != node]
    return pairs


def static_routes(topology: Topology) -> Mapping[str, list[tuple[Prefix, Address]]]:
    """The kernel routes that the topology declares, with their next hops as addresses."""
    return {
        name: [entry for route in node.intent.routes for entry in _resolved(topology, name, route)]
        for name, node in topology.nodes.items()
    }


def node_spec(topology: Topology, name: str, image: str, directory: Path, owner: str = "") -> NodeSpec:
    """What to launch for a node; `image` is the reference that the engine provided."""
    files = node_files(directory, name)
    node = substitute(topology.nodes[name].model_copy(update={"image": image}), node_dir=files, lab_dir=directory)
    ends_tunnel = any(name in (t.server, t.client) for t in topology.tunnels)
    router = node.intent.router
    if node.external:
        return _external(topology, node, directory, owner)
    needed = list(_BASIC)
    mounts: list[Mount] = []

    def mount(target: PurePosixPath, *, read_only: bool) -> None:
        mounts.append(Mount(files / target.relative_to("/"), target, read_only))

    if brings_hosts(node):
        mount(HOSTS, read_only=False)
    if ends_tunnel or router:
        needed += _NETWORKING
    if ends_tunnel:
        mount(CONFIGURATION, read_only=True)
        mount(LOGS, read_only=False)
    if router:
        daemon = daemons()[router.daemon]
        needed += daemon.capabilities
        mount(daemon.configuration, read_only=True)
        mount(daemon.logs, read_only=False)
    return NodeSpec(
        lab=topology.name,
        node=node,
        container=topology.container_name(name),
        directory=directory,
        owner=owner,
        capabilities=_capabilities(node, needed),
        devices=(_TUN,) if ends_tunnel else (),
        mounts=tuple(mounts),
        sysctls=_FORWARDING if router else {},
    )


def brings_hosts(node: Node) -> bool:
    """Whether a node's file of names is the lab's: one with name servers leaves it, and all of this, to the engine."""
    own = any(bind.split(":")[1:2] == [str(HOSTS)] for bind in node.binds)
    return not (own or node.dns or node.external)


def _external(topology: Topology, node: Node, directory: Path, owner: str) -> NodeSpec:
    """As containerlab starts an image that vrnetlab has made of a RouterOS; its disk of files is for who has to set it.

    The program in it waits for as many interfaces as it is told of.
    """
    arguments = f"--username admin --password admin --hostname {node.name} --connection-mode tc --trace"
    env = {"CLAB_INTFS": str(len(endpoints_of(topology, node.name))), "CONNECTION_MODE": "tc", **node.env}
    return NodeSpec(
        lab=topology.name,
        node=node.model_copy(update={"cmd": node.cmd or arguments, "env": env}),
        container=topology.container_name(node.name),
        directory=directory,
        owner=owner,
        capabilities=None,
        mounts=(Mount(node_files(directory, node.name), FILES_INSIDE, read_only=True),),
    )


def _capabilities(node: Node, needed: list[str]) -> tuple[str, ...] | None:
    """A foreign image gets the engine's default set, since nobody knows what it needs."""
    if node.kind == "linux" and not is_ours(node.image or ""):
        return None
    return tuple(dict.fromkeys([*needed, *node.cap_add]))


def _segment(topology: Topology, start: Endpoint) -> list[Endpoint]:
    """All endpoints on non-bridge nodes that a frame from `start` reaches."""
    found: list[Endpoint] = []
    seen = {(start.node, start.interface)}
    todo = [start]
    while todo:
        here = todo.pop()
        for link in topology.links:
            if here not in link.endpoints:
                continue
            for there in link.endpoints:
                if (there.node, there.interface) in seen:
                    continue
                seen.add((there.node, there.interface))
                if topology.nodes[there.node].kind == "bridge":
                    ports = [e for e in endpoints_of(topology, there.node) if e != there]
                    seen.update((p.node, p.interface) for p in ports)
                    todo += ports
                else:
                    found.append(there)
    return found


def _resolved(topology: Topology, name: str, route: StaticRoute) -> list[tuple[Prefix, Address]]:
    if route.via in topology.nodes:
        hops: list[Address] = []
        for here, there in neighbors_of(topology, name):
            if there.node == route.via:
                hops += [
                    theirs.ip
                    for ours, theirs in ((here.ipv4, there.ipv4), (here.ipv6, there.ipv6))
                    if ours is not None and theirs is not None
                ]
    else:
        hops = [ip_address(route.via)]
    resolved: list[tuple[Prefix, Address]] = []
    for hop in hops:
        anywhere = ip_network("0.0.0.0/0" if hop.version == 4 else "::/0")
        prefix = anywhere if isinstance(route.to, str) else route.to
        if isinstance(prefix, IPv4Network) == (hop.version == 4):
            resolved.append((prefix, hop))
    return list(dict(resolved).items())
