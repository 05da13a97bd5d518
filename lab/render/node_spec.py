"""From the topology to what the engine is asked for: pure functions, nothing is started here."""

from pathlib import Path, PurePosixPath

from lab.engine import HOSTS, Mount, NodeSpec
from lab.engine.node import node_files
from lab.image import is_ours
from lab.routing import daemons
from lab.topology import Node, Topology, substitute
from lab.topology.segments import endpoints_of
from lab.tunnel.mode import CONFIGURATION, LOGS

_BASIC = ("NET_RAW",)
"""What tcpdump and ping need; all that a host of an image of ours gets, beside what its topology adds."""
_NETWORKING = ("NET_ADMIN",)
_TUN = "/dev/net/tun"
FILES_INSIDE = PurePosixPath("/ftpboot")
"""Where an external node finds its commands, certificates and keys."""
_FORWARDING = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
"""What makes a node a router; a topology may say otherwise."""


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
