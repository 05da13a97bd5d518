"""The kernel's features, found by trying them.

Run as a program in a temporary network namespace (`unshare --net python -m lab.host.kernel`), it prints one JSON
object: each feature's name with null, or with the error. Trying a feature creates devices and queues and removes
all others, so never run it in a namespace that is in use.
"""

import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

# Options for creating a device of each kind.
LINKS: dict[str, dict[str, Any]] = {
    "veth": {"peer": "veth-peer"},
    "bridge": {},
    "vxlan": {"vxlan_id": 1, "vxlan_port": 4789, "vxlan_local": "127.0.0.1"},
    "dummy": {},
    "ifb": {},
    "vrf": {"vrf_table": 10},
    "gre": {"gre_local": "127.0.0.1", "gre_remote": "127.0.0.2"},
    "ipip": {"ipip_local": "127.0.0.1", "ipip_remote": "127.0.0.2"},
    "ip6gre": {"ip6gre_local": "::1", "ip6gre_remote": "2001:db8::2"},
    "ip6tnl": {"ip6tnl_local": "::1", "ip6tnl_remote": "2001:db8::2"},
    "sit": {"sit_local": "127.0.0.1", "sit_remote": "127.0.0.2"},
    "wireguard": {},
    "ovpn": {},
}

MODULES = {
    "sch_netem": "netem",
    "sch_tbf": "tbf",
    "ip_gre": "gre",
    "ip6_gre": "ip6gre",
    "ip6_tunnel": "ip6tnl",
    "nf_tables": "nftables",
}
"""Features by the names of their kernel modules, where these differ."""

_NETLINK_NETFILTER = 12
_NFNL_SUBSYS_NFTABLES = 10
_NFT_MSG_GETGEN = 16


def features() -> dict[str, Callable[[IPRoute], None]]:
    """Return each feature with a function that uses it and raises if the kernel lacks it."""
    return {
        **{kind: _link(kind, options) for kind, options in LINKS.items()},
        "macvlan": _macvlan,
        "tun": _tun,
        "netem": _queue("netem", {"delay": 1000}),
        "tbf": _queue("tbf", {"rate": "1mbit", "burst": 2000, "latency": "1s"}),
        "nftables": _nftables,
        "ipv6": _ipv6,
    }


def try_all() -> dict[str, str | None]:
    """Try every feature in the current network namespace; return the error of each, or None."""
    with IPRoute() as ip:
        return {name: _attempt(work, ip) for name, work in features().items()}


def _attempt(work: Callable[[IPRoute], None], ip: IPRoute) -> str | None:
    try:
        work(ip)
    except NetlinkError as error:
        return os.strerror(error.code)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        _clear(ip)
    return None


def _clear(ip: IPRoute) -> None:
    """Remove everything but the loopback device before the next attempt."""
    loopback = _loopback(ip)
    for index in [link["index"] for link in ip.get_links() if link["index"] != loopback]:
        # A veth's other end is removed with the first, and devices like tunl0 cannot be removed.
        with suppress(NetlinkError):
            ip.link("del", index=index)
    with suppress(NetlinkError):
        ip.tc("del", index=loopback, root=True)


def _link(kind: str, options: dict[str, Any]) -> Callable[[IPRoute], None]:
    return lambda ip: ip.link("add", ifname=f"try-{kind}", kind=kind, **options)


def _queue(kind: str, options: dict[str, Any]) -> Callable[[IPRoute], None]:
    return lambda ip: ip.tc("add", kind, _loopback(ip), handle="1:", **options)


def _macvlan(ip: IPRoute) -> None:
    ip.link("add", ifname="below", kind="veth", peer="below-peer")
    below = ip.link_lookup(ifname="below")[0]
    ip.link("add", ifname="above", kind="macvlan", link=below, macvlan_mode="bridge")


def _tun(ip: IPRoute) -> None:
    ip.link("add", ifname="try-tun", kind="tuntap", mode="tun")


def _ipv6(ip: IPRoute) -> None:
    ip.addr("add", index=_loopback(ip), address="2001:db8::1", prefixlen=128)


def _nftables(_: IPRoute) -> None:
    """Request the generation of nf_tables, its shortest request."""
    nfgenmsg = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
    kind = _NFNL_SUBSYS_NFTABLES << 8 | _NFT_MSG_GETGEN
    netlink_request = 1
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netfilter:
        netfilter.settimeout(2)
        netfilter.send(struct.pack("=IHHII", 16 + len(nfgenmsg), kind, netlink_request, 1, 0) + nfgenmsg)
        answer = netfilter.recv(4096)
    (answered,) = struct.unpack_from("=H", answer, 4)
    if answered == 2:  # NLMSG_ERROR: the negative error number follows the header
        (code,) = struct.unpack_from("=i", answer, 16)
        raise OSError(-code, os.strerror(-code))


def _loopback(ip: IPRoute) -> int:
    return int(ip.link_lookup(ifname="lo")[0])


if __name__ == "__main__":
    json.dump(try_all(), sys.stdout)
