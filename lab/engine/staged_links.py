"""Links of nodes that start one after the other: an interface exists before the node at its other end does.

A veth pair begins in the first node, its other end under a name of its own, and moves on when the second node is there.
If the first node ends, both ends vanish.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lab.core.errors import EnvironmentBroken
from lab.engine.namespace import Namespace
from lab.topology import Endpoint, Link
from lab.topology.model import DEFAULT_MTU
from lab.topology.names import kernel_name


def is_halved(link: Link) -> bool:
    """Return whether the ends of a link can come one after the other: those of a veth pair between two nodes."""
    nodes = {end.node for end in link.endpoints}
    return link.outside is None and link.intent.encapsulation is None and len(nodes) == 2


def attach_halves(name: str, namespaces: Mapping[str, Namespace], links: Sequence[Link]) -> None:
    """Attach the ends of a node to its links, of which each exists from the first node on.

    `namespaces` has those of the nodes that exist. Raises `EnvironmentBroken` with the link's name.
    """
    for link in filter(is_halved, links):
        own, other = link.endpoints if link.endpoints[0].node == name else link.endpoints[::-1]
        if own.node != name:
            continue
        work = partial(_move, own, namespaces[name].pid) if other.node in namespaces else None
        try:
            if work is None or not namespaces[other.node].run(work):
                namespaces[name].run(partial(_create, own, other, link.mtu or DEFAULT_MTU))
        except NetlinkError as error:
            what = " - ".join(f"{e.node}:{e.interface}" for e in link.endpoints)
            raise EnvironmentBroken(f"the link {what} cannot be created: {error}") from error


def _parked(end: Endpoint) -> str:
    return kernel_name("parked", f"{end.node}:{end.interface}")


def _create(own: Endpoint, other: Endpoint, mtu: int) -> None:
    ends: list[dict[str, Any]] = [{"ifname": own.interface, "mtu": mtu}, {"ifname": _parked(other), "mtu": mtu}]
    for request, end in zip(ends, (own, other), strict=True):
        if end.mac:
            request["address"] = end.mac
    with IPRoute() as ip:
        ip.link("add", kind="veth", peer=ends[1], **ends[0])


def _move(own: Endpoint, pid: int) -> bool:
    """Move an end from the other node's namespace, if it waits there."""
    with IPRoute() as ip:
        found = ip.link_lookup(ifname=_parked(own))
        if found:
            ip.link("set", index=found[0], net_ns_pid=pid, ifname=own.interface)
        return bool(found)
