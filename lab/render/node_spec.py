"""The specification of a node for the engine, computed from the topology; nothing is started here."""

from pathlib import Path, PurePosixPath

from lab.engine import HOSTS, Mount, NodeSpec
from lab.engine.node import node_files
from lab.image.recipe import NODE_IMAGE, VERSIONS, is_ours
from lab.routing import daemons
from lab.topology import Node, Topology, substitute
from lab.topology.segments import endpoints_of
from lab.tunnel.mode import CONFIGURATION, LOGS

_HOST_CAPABILITIES = ("NET_RAW",)
"""For tcpdump and ping; the only capability of a host with one of the lab's images, besides those in the topology."""
_ROUTER_CAPABILITIES = ("NET_ADMIN",)
_TUN = "/dev/net/tun"
FILES_INSIDE = PurePosixPath("/ftpboot")
"""The directory of commands, certificates and keys in an external node."""
_FORWARDING = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
"""The sysctls of a router; a topology can override them."""


def image_of(topology: Topology, name: str) -> str:
    """Return a node's image: its own, or the lab's default."""
    return topology.nodes[name].image or f"{NODE_IMAGE}:{VERSIONS[0]}"


def node_spec(topology: Topology, name: str, image: str, directory: Path, owner: str = "") -> NodeSpec:
    """Return the specification of a node; `image` is the reference that the engine provided."""
    files = node_files(directory, name)
    node = substitute(topology.nodes[name].model_copy(update={"image": image}), node_dir=files, lab_dir=directory)
    has_tunnel = any(name in (t.server, t.client) for t in topology.tunnels)
    router = node.intent.router
    if node.external:
        return _external(topology, node, directory, owner)
    needed = list(_HOST_CAPABILITIES)
    mounts: list[Mount] = []

    def mount(target: PurePosixPath, *, read_only: bool) -> None:
        mounts.append(Mount(files / target.relative_to("/"), target, read_only))

    if has_hosts_file(node):
        mount(HOSTS, read_only=False)
    if has_tunnel or router:
        needed += _ROUTER_CAPABILITIES
    if has_tunnel:
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
        devices=(_TUN,) if has_tunnel else (),
        mounts=tuple(mounts),
        sysctls=_FORWARDING if router else {},
    )


def has_hosts_file(node: Node) -> bool:
    """Return whether the lab writes a node's hosts file; the engine does for a node with name servers."""
    own = any(bind.split(":")[1:2] == [str(HOSTS)] for bind in node.binds)
    return not (own or node.dns or node.external)


def _external(topology: Topology, node: Node, directory: Path, owner: str) -> NodeSpec:
    """Return the specification of a RouterOS image built by vrnetlab, as containerlab starts it.

    The mount holds the files with which the user configures it. The image waits for the number of interfaces in
    CLAB_INTFS.
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
    """Return the capabilities of a node; None, the engine's default set, for an image that is not the lab's."""
    if node.kind == "linux" and not is_ours(node.image or ""):
        return None
    return tuple(dict.fromkeys([*needed, *node.cap_add]))
