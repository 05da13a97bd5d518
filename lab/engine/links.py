"""Wires: veth pairs, dummy interfaces, bridge ports, addresses and routes, set by netlink in the namespaces.

A pair is born with each end in its node and under its final name, so no end is ever seen in the host's own
namespace. Addresses skip duplicate address detection: they are ours, and a daemon would wait a second for it.
"""

import errno
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from itertools import count
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lab.core.errors import EnvironmentBroken, InputError, NotSupported
from lab.engine.encapsulation import encapsulated
from lab.engine.namespace import Namespace
from lab.topology import Address, Endpoint, Interface, Link, Node, Prefix
from lab.topology.model import DEFAULT_MTU

_IFA_F_NODAD = 0x02
_AF_INET = 2
_AF_INET6 = 10
_TRIED = count(1)


def wire(
    nodes: Mapping[str, Node],
    namespaces: Mapping[str, Namespace],
    links: Sequence[Link],
    routes: Mapping[str, Sequence[tuple[Prefix, Address]]],
) -> None:
    """Create all links, set addresses, bring interfaces up and set static routes.

    Raises `EnvironmentBroken`, naming the link, where the kernel refuses one, `NotSupported` for a kind of link
    that this kernel does not have.
    """
    ends: dict[str, list[tuple[Endpoint, int]]] = defaultdict(list)
    for link in links:
        mtu = link.mtu or DEFAULT_MTU
        _create(link, mtu, namespaces)
        for endpoint in link.endpoints:
            ends[endpoint.node].append((endpoint, mtu))
    for name, node in nodes.items():
        namespaces[name].run(partial(_set_up, node, ends[name]))
    # Routes come last: their next hops have to be on link, which takes both ends of a wire.
    for name, entries in routes.items():
        if entries and not nodes[name].external:
            namespaces[name].run(partial(_route, name, entries))


def add_addresses(namespace: Namespace, interface: str, addresses: Sequence[Interface]) -> None:
    """Add addresses to an interface; one that is there already stays."""

    def work() -> None:
        with IPRoute() as ip:
            index = _index(ip, interface)
            for address in addresses:
                _add_address(ip, index, address)

    namespace.run(work)


def remove_addresses(namespace: Namespace, interface: str, addresses: Sequence[Interface]) -> None:
    """Remove addresses from an interface; one that is not there is no error."""

    def work() -> None:
        with IPRoute() as ip:
            index = _index(ip, interface)
            for address in addresses:
                try:
                    ip.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
                except NetlinkError as error:
                    if error.code != errno.EADDRNOTAVAIL:
                        raise

    namespace.run(work)


def remove_device(namespace: Namespace, device: str, *, kind: str = "") -> None:
    """Remove a device of the kernel's own, if its kind begins so; one that is not there is no error."""

    def work() -> None:
        with IPRoute() as ip:
            for link in ip.get_links():
                if link.get_attr("IFLA_IFNAME") == device and kind_of(link).startswith(kind):
                    ip.link("del", index=link["index"])

    namespace.run(work)


def kind_of(link: Any) -> str:
    """The kind of a device, as in `ip link add type KIND`, of the kernel's message about it; hardware has none."""
    return link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""


def why_no_device(namespace: Namespace, kind: str) -> str | None:
    """Make a device of a kind and remove it again: None where that went well, else what the kernel says."""
    name = f"try{next(_TRIED)}-{kind}"[:15]  # several ask at the same time

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
        for end, make in zip(link.endpoints, encapsulated(link, link.intent.encapsulation, mtu), strict=True):
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
            raise NotSupported(kind, f"the kernel knows no such kind of link (wanted for {what})") from error
        raise EnvironmentBroken(f"the link {what} could not be made: {error}") from error


def _set_up(node: Node, ends: Sequence[tuple[Endpoint, int]]) -> None:
    with IPRoute() as ip:
        bridge = None
        if node.kind == "bridge":
            ip.link("add", ifname=node.name[:15], kind="bridge")
            bridge = _index(ip, node.name[:15])
            ip.link("set", index=bridge, state="up")
        for endpoint, _ in ends:
            index = _index(ip, endpoint.interface)
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
                raise EnvironmentBroken(f"{node}: no route to {prefix} via {via}: {error}") from error


def _index(ip: Any, interface: str) -> int:
    found = ip.link_lookup(ifname=interface)
    if not found:
        raise InputError(f"there is no interface {interface!r} here")
    index: int = found[0]
    return index
