"""Links between a node and the host's network: a veth pair, a macvlan interface, a VXLAN tunnel, alone or stitched.

Each vanishes with the node's network namespace, so nothing is left on the host after the node, however it ended.
"""

import errno
from functools import partial
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lab.core.errors import EnvironmentBroken, InputError, NotSupported
from lab.engine.namespace import Namespace
from lab.topology.model import DEFAULT_MTU, Endpoint, Link, Outside
from lab.topology.names import altname_of, kernel_name, needs_altname

_PAIRS = ("host", "mgmt-net")
"""Links with an end of a veth pair in the host's network."""
_INGRESS = 0xFFFF0000
"""The handle of the queueing discipline for incoming packets (tc(8))."""
_ALL_PROTOCOLS = 0x0003
"""ETH_P_ALL."""


def create_outside(link: Link, outside: Outside, namespace: Namespace) -> None:
    """Create a link of a node to the network of the calling process, the host's.

    Raises `InputError` for an interface of the host that is missing, or that exists already, `EnvironmentBroken` if the
    kernel refuses the link, `NotSupported` if it lacks the kind.
    """
    (end,) = link.endpoints
    what = f"{end.node}:{end.altname or end.interface} - {link.kind}:{outside.interface or outside.remote}"
    try:
        with IPRoute() as ip:
            ip.link("add", **_request(ip, link, outside, namespace, what))
            if link.kind in _PAIRS:
                (index,) = ip.link_lookup(ifname=_host_name(outside))
                if _host_name(outside) != outside.interface:
                    ip.link("property_add", index=index, altname=altname_of(outside.interface or ""))
                if outside.bridge is not None:
                    ip.link("set", index=index, master=_existing(ip, outside.bridge, what))
                ip.link("set", index=index, state="up")
        if link.kind == "vxlan-stitch":
            namespace.run(partial(_stitch, end, link.mtu or DEFAULT_MTU))
    except NetlinkError as error:
        if error.code == errno.EEXIST and link.kind in _PAIRS:
            raise InputError(f"the link {what} cannot be created: the host has an interface of that name") from error
        if error.code == errno.EOPNOTSUPP:
            raise NotSupported(
                link.kind, f"the kernel does not support this kind of link, which {what} needs"
            ) from error
        raise EnvironmentBroken(f"the link {what} cannot be created: {error}") from error


def _request(ip: Any, link: Link, outside: Outside, namespace: Namespace, what: str) -> dict[str, Any]:
    """Return pyroute2's options for a link, whose end in the node is created there at once."""
    (end,) = link.endpoints
    inside: dict[str, Any] = {"ifname": end.interface, "net_ns_pid": namespace.pid}
    if end.mac:
        inside["address"] = end.mac
    if link.mtu is not None:
        inside["mtu"] = link.mtu
    if link.kind in _PAIRS:
        mtu = link.mtu or DEFAULT_MTU
        return {"ifname": _host_name(outside), "kind": "veth", "mtu": mtu, "peer": inside}
    if link.kind == "macvlan":
        parent = _existing(ip, outside.interface or "", what)
        return {**inside, "kind": "macvlan", "link": parent, "macvlan_mode": outside.mode}
    assert outside.remote is not None
    if link.kind == "vxlan-stitch":  # the tunnel has no MTU of its own, and the pair has the address
        inside = {"ifname": _tunnel_name(end), "net_ns_pid": namespace.pid}
    family = "6" if outside.remote.version == 6 else ""
    request = {
        **inside,
        "kind": "vxlan",
        "vxlan_id": outside.vni,
        "vxlan_port": outside.dst_port,
        f"vxlan_group{family}": str(outside.remote),
    }
    if outside.interface:
        request["vxlan_link"] = _existing(ip, outside.interface, what)
    if outside.src_port is not None:
        request["vxlan_port_range"] = {"low": outside.src_port, "high": outside.src_port + 1}
    return request


def _tunnel_name(end: Endpoint) -> str:
    return kernel_name(end.node, f"vx-{end.interface}")


def _stitch(end: Endpoint, mtu: int) -> None:
    """Create a veth pair, and redirect all frames between its other end and the tunnel, as containerlab does.

    containerlab has tunnel and other end in the host's network; here they vanish with the node, however it ends.
    """
    other = kernel_name(end.node, f"ve-{end.interface}")
    pair: dict[str, Any] = {"ifname": end.interface, "kind": "veth", "mtu": mtu, "peer": {"ifname": other, "mtu": mtu}}
    if end.mac:
        pair["address"] = end.mac
    with IPRoute() as ip:
        ip.link("add", **pair)
        indices = [ip.link_lookup(ifname=name)[0] for name in (_tunnel_name(end), other)]
        for here, there in (indices, indices[::-1]):
            ip.link("set", index=here, state="up")
            ip.tc("add", "ingress", here, _INGRESS)
            redirect = {"kind": "mirred", "direction": "egress", "action": "redirect", "ifindex": there}
            match: dict[str, Any] = {"keys": ["0x0/0x0+0"], "target": 0}  # no bits: every frame, of any protocol
            ip.tc("add-filter", "u32", here, parent=_INGRESS, protocol=_ALL_PROTOCOLS, action=redirect, **match)


def _host_name(outside: Outside) -> str:
    """Return the name of the host's end of a veth pair; a name that the kernel refuses becomes an alternative one."""
    name = outside.interface or ""
    return kernel_name("host", name) if needs_altname(name) else name


def _existing(ip: Any, interface: str, what: str) -> int:
    found = ip.link_lookup(ifname=interface)
    if not found:
        raise InputError(f"the link {what} cannot be created: the host has no interface {interface!r}")
    index: int = found[0]
    return index
