"""Links of nodes that start one after the other: an interface exists before the node at its other end does.

A veth pair begins in the first node, its other end under a name of its own, and moves on when the second node is there.
If the first node ends, both ends vanish.
"""

import socket
from collections.abc import Mapping, Sequence
from functools import partial

from lab.core.errors import EnvironmentBroken
from lab.engine.namespace import Namespace
from lab.engine.rtnl import End, RouteSocket
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
        except OSError as error:
            what = " - ".join(f"{e.node}:{e.interface}" for e in link.endpoints)
            raise EnvironmentBroken(f"the link {what} cannot be created: {error.strerror}") from error


def _parked(end: Endpoint) -> str:
    return kernel_name("parked", f"{end.node}:{end.interface}")


def _create(own: Endpoint, other: Endpoint, mtu: int) -> None:
    with RouteSocket() as kernel:
        kernel.add_link("veth", End(own.interface, mtu, own.mac), End(_parked(other), mtu, other.mac))


def _move(own: Endpoint, pid: int) -> bool:
    """Move an end from the other node's namespace, if it waits there."""
    try:
        index = socket.if_nametoindex(_parked(own))
    except OSError:
        return False
    with RouteSocket() as kernel:
        kernel.move(index, pid, own.interface)
    return True
