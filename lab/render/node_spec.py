"""The specification of a node for the engine, computed from the topology; nothing is started here."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from lab.engine import HOSTS, Mount, NodeSpec
from lab.engine.node import node_files
from lab.image.recipe import NODE_IMAGE, OVS_IMAGE, VERSIONS, is_ours
from lab.routing import daemons
from lab.topology import Node, NodeIntent, Topology, substitute
from lab.topology.model import Credentials
from lab.topology.segments import endpoints_of
from lab.topology.sharing import shared_network, shared_processes
from lab.tunnel.mode import CONFIGURATION, LOGS

_HOST_CAPABILITIES = ("NET_RAW",)
"""For tcpdump and ping; the only capability of a host with one of the lab's images, besides those in the topology."""
_ROUTER_CAPABILITIES = ("NET_ADMIN",)
_DROPPING_CAPABILITIES = ("SETUID", "SETGID")
"""For `user` and `group` in files of the user's: OpenVPN gives up its privileges, and keeps NET_ADMIN."""
_FOREIGN_CAPABILITIES = (*("NET_ADMIN", "NET_RAW", "NET_BROADCAST", "SYS_ADMIN", "SYS_PTRACE", "SYS_NICE", "IPC_LOCK"),)
"""For images that are not the lab's, besides Docker's default set: what containerlab's privileged nodes use inside
their own namespaces."""
_LOGIN = "admin"
"""vrnetlab's own user name and password."""
_TUN = "/dev/net/tun"
FILES_INSIDE = PurePosixPath("/ftpboot")
"""The directory of commands, certificates and keys in an external node."""
_FORWARDING = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
"""The sysctls of a router; a topology can override them."""
_AS_INHERITED = {"net.ipv4.ip_forward": "1"}
"""The sysctls of a node without keys of the lab's: a namespace inherits this one from the host, where Docker sets
it."""


def image_of(topology: Topology, name: str) -> str:
    """Return a node's image: its own, or the lab's default."""
    if topology.nodes[name].kind == "ovs-bridge":
        return OVS_IMAGE
    return topology.nodes[name].image or f"{NODE_IMAGE}:{VERSIONS[0]}"


def images_of(topology: Topology) -> list[str]:
    """Return the images of the nodes that the lab starts, each once."""
    return list(dict.fromkeys(image_of(topology, name) for name, node in topology.nodes.items() if not node.borrowed))


def node_spec(
    topology: Topology, name: str, image: str, directory: Path, owner: str = "", *, network: str = ""
) -> NodeSpec:
    """Return the specification of a node; `image` is the reference that the engine provided.

    `network` is the name of the management network.
    """
    files = node_files(directory, name)
    node = substitute(topology.nodes[name].model_copy(update={"image": image}), node_dir=files, lab_dir=directory)
    own = [process for process in topology.processes if process.node == name]
    has_tunnel = bool(own) or any(name in (t.server, t.client) for t in topology.tunnels)
    router = node.intent.router
    if node.external:
        return _external(topology, node, directory, owner)
    needed = list(_HOST_CAPABILITIES)
    mounts: list[Mount] = []

    def mount(target: PurePosixPath, *, read_only: bool) -> None:
        mounts.append(Mount(files / target.relative_to("/"), target, read_only))

    if has_hosts_file(node):
        mount(HOSTS, read_only=False)
    if has_tunnel or router or node.intent.nftables or node.intent.vrfs:
        needed += _ROUTER_CAPABILITIES
    if has_tunnel:
        mount(CONFIGURATION, read_only=not own)  # the user's files may name files there that OpenVPN writes
        mount(LOGS, read_only=False)
    if router:
        daemon = daemons()[router.daemon]
        needed += daemon.capabilities
        mount(daemon.configuration, read_only=True)
        mount(daemon.logs, read_only=False)
    mounted = [each.target for each in mounts]
    for path in dict.fromkeys(own_paths(topology, name)):
        if not any(path.is_relative_to(directory) for directory in mounted):
            mount(path, read_only=False)
    if own:
        needed += _DROPPING_CAPABILITIES
        if any("chroot" in process.needs for process in own):
            needed.append("SYS_CHROOT")
    if node.kind == "ovs-bridge":
        needed += _ROUTER_CAPABILITIES
    free = is_free(node)
    devices = (_TUN,) if has_tunnel or node.kind == "ovs-bridge" or (free and _TUN not in node.devices) else ()
    if free:
        more = tuple(c for c in _FOREIGN_CAPABILITIES if c not in node.cap_add)
        node = node.model_copy(update={"cap_add": (*more, *node.cap_add)})
    if is_foreign(node):
        node = node.model_copy(update={"env": {**node.env, **_containerlabs_variables(topology, node)}})
    return NodeSpec(
        lab=topology.name,
        node=node,
        container=topology.container_name(name),
        directory=directory,
        owner=owner,
        capabilities=_capabilities(node, needed),
        devices=devices,
        mounts=tuple(mounts),
        sysctls=_FORWARDING if router or own else _AS_INHERITED if is_plain(topology, name) else {},
        network=network if node.network_mode == "bridge" else "",
        beside=_container(topology, shared_network(node)),
        processes_of=_processes_of(topology, node),
        cgroup_namespace=_cgroup_namespace(topology, node),
        privileged=topology.privileged and (free or node.privileged is True),
        terminal=is_foreign(node),
    )


def _containerlabs_variables(topology: Topology, node: Node) -> dict[str, str]:
    """Return the environment variables that containerlab gives to each node: its labels, the number of its links."""
    labels = {
        **node.labels,
        "containerlab": topology.name,
        "clab-node-name": node.name,
        "clab-node-longname": topology.container_name(node.name),
        "clab-node-kind": node.kind,
        "clab-node-group": node.group or "",
    }
    names = {key: re.sub(r"[^a-zA-Z0-9_]+", "", re.sub(r"[-+./]", "_", key)).upper() for key in labels}
    return {
        **{f"CLAB_LABEL_{names[key]}": value for key, value in labels.items()},
        "CLAB_INTFS": str(len(endpoints_of(topology, node.name))),
    }


def _container(topology: Topology, target: str | None) -> str:
    """Return the container whose namespace a node shares: another node's, or one from outside of the lab."""
    return topology.container_name(target) if target and target in topology.nodes else target or ""


def _processes_of(topology: Topology, node: Node) -> str:
    """Return Docker's mode of a node's PID namespace; the host's needs the user's consent."""
    if node.pid_mode == "host":
        return "host" if topology.privileged else ""
    target = _container(topology, shared_processes(node))
    return f"container:{target}" if target else ""


def _cgroup_namespace(topology: Topology, node: Node) -> str:
    """Return the mode of a node's cgroup namespace; the host's needs the user's consent."""
    return "private" if node.cgroupns_mode == "host" and not topology.privileged else node.cgroupns_mode or ""


def is_foreign(node: Node) -> bool:
    """Return whether a node is a container with Linux that is not the lab's, or of an image that is not."""
    return node.borrowed or (node.kind == "linux" and not is_ours(node.image or ""))


def is_free(node: Node) -> bool:
    """Return whether containerlab would run a node with all privileges, and the lab with those of its namespaces."""
    return is_foreign(node) and not node.borrowed and node.privileged is not False and node.network_mode != "host"


def is_plain(topology: Topology, name: str) -> bool:
    """Return whether a node carries no keys of the lab's, and no end of a tunnel."""
    node = topology.nodes[name]
    ends = {end for tunnel in topology.tunnels for end in (tunnel.server, tunnel.client)}
    return node.kind == "linux" and node.intent == NodeIntent() and name not in ends


def own_paths(topology: Topology, name: str) -> Iterator[PurePosixPath]:
    """Yield the paths of the files in a node that are the user's, or that the lab issues in their place."""
    for process in topology.processes:
        if process.node == name:
            yield from (file.path for file in process.files)
            yield from (issue.path for issue in process.issues)
            yield from (issue.key for issue in process.issues if issue.key is not None)
    if name in topology.own_routers:
        yield from (file.path for file in topology.own_routers[name].files)
    for ruleset in topology.rulesets:
        if ruleset.node == name:
            yield from (file.path for file in ruleset.files)


def has_hosts_file(node: Node) -> bool:
    """Return whether the lab writes a node's hosts file; the engine does for a node with name servers."""
    own = any(bind.split(":")[1:2] == [str(HOSTS)] for bind in node.binds)
    return not (own or node.dns or node.external or node.borrowed or node.network_mode != "none")


def _external(topology: Topology, node: Node, directory: Path, owner: str) -> NodeSpec:
    """Return the specification of an image of another system built by vrnetlab, as containerlab starts it.

    The mount holds the files with which the user configures it. The image waits for the number of interfaces in
    CLAB_INTFS.
    """
    given = node.credentials or Credentials()
    login = {"USERNAME": given.username or _LOGIN, "PASSWORD": given.password or _LOGIN}
    arguments = shlex.join(
        [
            *("--username", login["USERNAME"], "--password", login["PASSWORD"]),
            *("--hostname", node.name, "--connection-mode", "tc", "--trace"),
        ]
    )
    env = {"CLAB_INTFS": str(len(endpoints_of(topology, node.name))), "CONNECTION_MODE": "tc", **login, **node.env}
    return NodeSpec(
        lab=topology.name,
        node=node.model_copy(update={"cmd": node.cmd or arguments, "env": env}),
        container=topology.container_name(node.name),
        directory=directory,
        owner=owner,
        capabilities=None,
        mounts=(Mount(node_files(directory, node.name), FILES_INSIDE, read_only=True),),
        processes_of=_processes_of(topology, node),
        cgroup_namespace=_cgroup_namespace(topology, node),
    )


def _capabilities(node: Node, needed: list[str]) -> tuple[str, ...] | None:
    """Return the capabilities of a node; None, the engine's default set, for an image that is not the lab's."""
    if is_foreign(node):
        return None
    return tuple(dict.fromkeys([*needed, *node.cap_add]))
