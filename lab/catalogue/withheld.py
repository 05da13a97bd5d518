"""Privileges that containerlab gives to nodes, and the lab withholds."""

from lab.image.recipe import is_ours
from lab.topology import Topology
from lab.topology.own import Remark

_GIVEN = (
    "without the host's devices (but /dev/net/tun) and kernel parameters (but those of their network), with NET_ADMIN, "
    "NET_RAW, SYS_ADMIN and the like"
)
_OPTION = "--privileged grants the rest"


def _shared(topology: Topology) -> dict[str, list[str]]:
    """Return the nodes that ask for namespaces of the host's, by what they have instead."""
    found: dict[str, list[str]] = {}
    for name, node in topology.nodes.items():
        if node.pid_mode == "host":
            found.setdefault("in a PID namespace of its own, not in the host's", []).append(name)
        if node.cgroupns_mode == "host":
            found.setdefault("in a cgroup namespace of its own, not in the host's", []).append(name)
    return found


def withheld(topology: Topology, privileged: bool) -> tuple[Remark, ...]:
    """Return a note on the nodes of images that are not the lab's, which containerlab runs with all privileges."""
    if privileged:
        return ()
    free, asking = [], []
    for name, node in topology.nodes.items():
        if node.kind == "linux" and node.privileged is not False and not is_ours(node.image or ""):
            free.append(name)
        elif node.privileged:
            asking.append(name)
    remarks = []
    if free:
        remarks.append((free, f"privileged under containerlab, here {_GIVEN}"))
    for what, nodes in _shared(topology).items():
        remarks.append((nodes, what))
    if asking:
        remarks.append((asking, "not privileged: nodes of the lab's images have what their role needs"))
    return tuple(
        Remark(kind="note", node=", ".join(nodes), place=topology.file.name, what=f"{what}: {_OPTION}")
        for nodes, what in remarks
    )
