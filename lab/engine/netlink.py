"""Links: veth pairs, dummy interfaces, bridge ports, addresses and routes, set by netlink in the nodes' namespaces.

A veth pair is created with each end in its node under its final name, so neither end appears in the host's own
namespace. Addresses skip duplicate address detection, for which a daemon would wait a second.
"""

import errno
import socket
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count

from lab.core.errors import EnvironmentBroken, InputError, NotSupported
from lab.engine.devices import devices
from lab.engine.namespace import Namespace
from lab.engine.rtnl import End, RouteSocket
from lab.engine.staged_links import attach_halves, is_halved
from lab.topology import Address, Endpoint, Interface, Link, Node, Prefix
from lab.topology.model import DEFAULT_MTU
from lab.topology.names import altname_of

_tried = count(1)


def connect_nodes(
    nodes: Mapping[str, Node],
    namespaces: Mapping[str, Namespace],
    links: Sequence[Link],
    routes: Mapping[str, Sequence[tuple[Prefix, Address]]],
) -> None:
    """Create all links, set addresses, bring interfaces up and set static routes.

    Raises `EnvironmentBroken` with the link's name if the kernel refuses one, `NotSupported` if the kernel lacks the
    kind of link.
    """
    ends: dict[str, list[tuple[Endpoint, int]]] = defaultdict(list)
    for link in links:
        mtu = link.mtu or DEFAULT_MTU
        _create(link, mtu, namespaces)
        for endpoint in link.endpoints:
            ends[endpoint.node].append((endpoint, mtu))
    for name, node in nodes.items():
        namespaces[name].run(partial(_set_up, node, ends[name]))
    # Routes come last: a next hop has to be on link, which needs both ends of the link.
    for name, entries in routes.items():
        if entries and not nodes[name].external:
            namespaces[name].run(partial(_route, name, entries))


def connect_node(
    name: str, nodes: Mapping[str, Node], namespaces: Mapping[str, Namespace], links: Sequence[Link]
) -> None:
    """Create the links of one node, set its addresses and bring its interfaces up; other nodes need not exist yet.

    `connect_nodes` with the links that remain must follow when all nodes exist: kernel tunnels between nodes need both.
    Raises as `connect_nodes`.
    """
    own = [link for link in links if name in (e.node for e in link.endpoints) and link.intent.encapsulation is None]
    for link in own:
        if not is_halved(link):
            _create(link, link.mtu or DEFAULT_MTU, namespaces)
    attach_halves(name, namespaces, own)
    ends = [(end, link.mtu or DEFAULT_MTU) for link in own for end in link.endpoints if end.node == name]
    namespaces[name].run(partial(_set_up, nodes[name], ends))


def add_addresses(namespace: Namespace, interface: str, addresses: Sequence[Interface]) -> None:
    """Add addresses to an interface; existing ones stay."""

    def work() -> None:
        with RouteSocket() as kernel:
            index = _index(interface)
            for address in addresses:
                _add_address(kernel, index, address)

    namespace.run(work)


def remove_addresses(namespace: Namespace, interface: str, addresses: Sequence[Interface]) -> None:
    """Remove addresses from an interface; missing ones are ignored."""

    def work() -> None:
        with RouteSocket() as kernel:
            index = _index(interface)
            for address in addresses:
                try:
                    kernel.delete_address(index, address)
                except OSError as error:
                    if error.errno != errno.EADDRNOTAVAIL:
                        raise

    namespace.run(work)


def remove_device(namespace: Namespace, device: str, *, kind: str = "") -> None:
    """Remove a device if its kind starts with `kind`; a missing one is ignored."""

    def work() -> None:
        try:
            socket.if_nametoindex(device)
        except OSError:
            return
        found = devices().get(device)
        if found is not None and found.kind.startswith(kind):
            with RouteSocket() as kernel:
                kernel.delete_link(found.index)

    namespace.run(work)


def try_device(namespace: Namespace, kind: str) -> str | None:
    """Create a device of a kind and remove it; return the kernel's error, or None."""
    name = f"try{next(_tried)}-{kind}"[:15]  # several threads may try at once

    def work() -> None:
        with RouteSocket() as kernel:
            kernel.add_link(kind, End(name))

    try:
        namespace.run(work)
    except OSError as error:
        return error.strerror
    remove_device(namespace, name)
    return None


def _create(link: Link, mtu: int, namespaces: Mapping[str, Namespace]) -> None:
    # What few labs need brings pyroute2, whose import takes as long as all else of a small lab.
    if link.outside is not None:
        from lab.engine.outside import create_outside

        create_outside(link, link.outside, namespaces[link.endpoints[0].node])
        return
    if link.intent.encapsulation is not None:
        from lab.engine.encapsulation import end_creators

        for end, make in zip(link.endpoints, end_creators(link, link.intent.encapsulation, mtu), strict=True):
            _make(link, link.intent.encapsulation.kind, namespaces[end.node], make)
        return
    first, *others = link.endpoints
    peers = [End(other.interface, mtu, other.mac, namespaces[other.node].pid) for other in others]

    def work() -> None:
        with RouteSocket() as kernel:
            kernel.add_link(link.kind, End(first.interface, mtu, first.mac), *peers)

    _make(link, link.kind, namespaces[first.node], work)


def _make(link: Link, kind: str, namespace: Namespace, work: Callable[[], None]) -> None:
    what = " - ".join(f"{e.node}:{e.interface}" for e in link.endpoints)
    try:
        namespace.run(work)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise NotSupported(kind, f"the kernel does not support this kind of link, which {what} needs") from error
        raise EnvironmentBroken(f"the link {what} cannot be created: {error.strerror}") from error


def _set_up(node: Node, ends: Sequence[tuple[Endpoint, int]]) -> None:
    with RouteSocket() as kernel:
        own = node.name[:15] if node.kind == "bridge" else None
        for name in (*node.bridges, *((own,) if own else ())):
            with suppress(FileExistsError):  # it exists if the node's links came in stages
                kernel.add_link("bridge", End(name))
            kernel.set_up(_index(name))
        for endpoint, _ in ends:
            index = _index(endpoint.interface)
            if endpoint.altname is not None:
                kernel.add_alternative_name(index, altname_of(endpoint.altname))
            for address in endpoint.addresses if not node.external else ():
                _add_address(kernel, index, address)
            if (bridge := endpoint.bridge or own) is not None:
                kernel.set_master(index, _index(bridge))
            kernel.set_up(index)


def _add_address(kernel: RouteSocket, index: int, address: Interface) -> None:
    with suppress(FileExistsError):
        kernel.add_address(index, address)


def _route(node: str, entries: Sequence[tuple[Prefix, Address]]) -> None:
    with RouteSocket() as kernel:
        for prefix, via in entries:
            try:
                kernel.replace_route(prefix, via)
            except OSError as error:
                raise EnvironmentBroken(
                    f"{node}: the route to {prefix} via {via} cannot be set: {error.strerror}"
                ) from error


def _index(interface: str) -> int:
    """Return the index of an interface in the calling thread's namespace, without a list of all of them."""
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:
        raise InputError(f"the node has no interface {interface!r}") from error
