"""Links: veth pairs, dummy interfaces, bridge ports, addresses and routes, set by netlink in the nodes' namespaces.

A veth pair is created with each end in its node under its final name, so neither end appears in the host's own
namespace. Addresses skip duplicate address detection, for which a daemon would wait a second.
"""

import errno
import os
import socket
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from itertools import count
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lab.core.errors import EnvironmentBroken, InputError, NotSupported
from lab.engine.encapsulation import end_creators
from lab.engine.namespace import Namespace
from lab.engine.outside import create_outside
from lab.engine.staged_links import attach_halves, is_halved
from lab.topology import Address, Endpoint, Interface, Link, Node, Prefix
from lab.topology.model import DEFAULT_MTU
from lab.topology.names import altname_of

_IFA_F_NODAD = 0x02
_AF_INET = 2
_AF_INET6 = 10
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
        if link.outside is not None:
            create_outside(link, link.outside, namespaces[link.endpoints[0].node])
        else:
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
        if link.outside is not None:
            create_outside(link, link.outside, namespaces[name])
        elif not is_halved(link):
            _create(link, link.mtu or DEFAULT_MTU, namespaces)
    attach_halves(name, namespaces, own)
    ends = [(end, link.mtu or DEFAULT_MTU) for link in own for end in link.endpoints if end.node == name]
    namespaces[name].run(partial(_set_up, nodes[name], ends))


def add_addresses(namespace: Namespace, interface: str, addresses: Sequence[Interface]) -> None:
    """Add addresses to an interface; existing ones stay."""

    def work() -> None:
        with IPRoute() as ip:
            index = _index(interface)
            for address in addresses:
                _add_address(ip, index, address)

    namespace.run(work)


def remove_addresses(namespace: Namespace, interface: str, addresses: Sequence[Interface]) -> None:
    """Remove addresses from an interface; missing ones are ignored."""

    def work() -> None:
        with IPRoute() as ip:
            index = _index(interface)
            for address in addresses:
                try:
                    ip.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
                except NetlinkError as error:
                    if error.code != errno.EADDRNOTAVAIL:
                        raise

    namespace.run(work)


def remove_device(namespace: Namespace, device: str, *, kind: str = "") -> None:
    """Remove a device if its kind starts with `kind`; a missing one is ignored."""

    def work() -> None:
        try:
            index = socket.if_nametoindex(device)
        except OSError:
            return
        with IPRoute() as ip:
            for link in ip.get_links(index):
                if kind_of(link).startswith(kind):
                    ip.link("del", index=link["index"])

    namespace.run(work)


def kind_of(link: Any) -> str:
    """Return the kind (`ip link add type KIND`) in a kernel message about a device; empty for hardware."""
    return link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""


def try_device(namespace: Namespace, kind: str) -> str | None:
    """Create a device of a kind and remove it; return the kernel's error, or None."""
    name = f"try{next(_tried)}-{kind}"[:15]  # several threads may try at once

    def work() -> None:
        with IPRoute() as ip:
            ip.link("add", ifname=name, kind=kind)

    try:
        namespace.run(work)
    except NetlinkError as error:
        return os.strerror(error.code)
    remove_device(namespace, name)
    return None


def _create(link: Link, mtu: int, namespaces: Mapping[str, Namespace]) -> None:
    if link.intent.encapsulation is not None:
        for end, make in zip(link.endpoints, end_creators(link, link.intent.encapsulation, mtu), strict=True):
            _make(link, link.intent.encapsulation.kind, namespaces[end.node], make)
        return
    first, *others = link.endpoints
    request: dict[str, Any] = {"ifname": first.interface, "kind": link.kind, "mtu": mtu}
    if first.mac:
        request["address"] = first.mac
    if others:
        peer: dict[str, Any] = {
            "ifname": others[0].interface,
            "mtu": mtu,
            "net_ns_pid": namespaces[others[0].node].pid,
        }
        if others[0].mac:
            peer["address"] = others[0].mac
        request["peer"] = peer

    def work() -> None:
        with IPRoute() as ip:
            ip.link("add", **request)

    _make(link, link.kind, namespaces[first.node], work)


def _make(link: Link, kind: str, namespace: Namespace, work: Callable[[], None]) -> None:
    what = " - ".join(f"{e.node}:{e.interface}" for e in link.endpoints)
    try:
        namespace.run(work)
    except NetlinkError as error:
        if error.code == errno.EOPNOTSUPP:
            raise NotSupported(kind, f"the kernel does not support this kind of link, which {what} needs") from error
        raise EnvironmentBroken(f"the link {what} cannot be created: {error}") from error


def _set_up(node: Node, ends: Sequence[tuple[Endpoint, int]]) -> None:
    with IPRoute() as ip:
        bridge = None
        if node.kind == "bridge":
            if not ip.link_lookup(ifname=node.name[:15]):  # it exists if the node's links came in stages
                ip.link("add", ifname=node.name[:15], kind="bridge")
            bridge = _index(node.name[:15])
            ip.link("set", index=bridge, state="up")
        for endpoint, _ in ends:
            index = _index(endpoint.interface)
            if endpoint.altname is not None:
                ip.link("property_add", index=index, altname=altname_of(endpoint.altname))
            for address in endpoint.addresses if not node.external else ():
                _add_address(ip, index, address)
            if bridge is not None:
                ip.link("set", index=index, master=bridge)
            ip.link("set", index=index, state="up")


def _add_address(ip: Any, index: int, address: Interface) -> None:
    family = {"family": _AF_INET} if address.version == 4 else {"family": _AF_INET6, "flags": _IFA_F_NODAD}
    try:
        ip.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen, **family)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise


def _route(node: str, entries: Sequence[tuple[Prefix, Address]]) -> None:
    with IPRoute() as ip:
        for prefix, via in entries:
            try:
                ip.route("replace", dst=str(prefix), gateway=str(ip_address(via)))
            except NetlinkError as error:
                raise EnvironmentBroken(f"{node}: the route to {prefix} via {via} cannot be set: {error}") from error


def _index(interface: str) -> int:
    """Return the index of an interface in the calling thread's namespace, without a list of all of them."""
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:
        raise InputError(f"the node has no interface {interface!r}") from error
