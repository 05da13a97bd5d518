"""What the kernel can do, found by trying it.

Run as a program inside a throw-away network namespace (`unshare --net python -m lab.host.kernel`) it prints
one JSON object: every feature's name with null, or with the reason why it failed. Trying means to create the
thing, so this must never run in a namespace that somebody uses.
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

# Each is created under its own name, with what its kind asks for.
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
"""Features by the names of their modules, where these differ."""

_NETLINK_NETFILTER = 12
_NFNL_SUBSYS_NFTABLES = 10
_NFT_MSG_GETGEN = 16


def features() -> dict[str, Callable[[IPRoute], None]]:
    """Every feature with the act that proves it; the act raises where the feature is missing."""
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
    """Try every feature in this very network namespace; the reason of each failure."""
    with IPRoute() as ip:
        return {name: _attempt(act, ip) for name, act in features().items()}


def _attempt(act: Callable[[IPRoute], None], ip: IPRoute) -> str | None:
    try:
        act(ip)
    except NetlinkError as error:
        return os.strerror(error.code)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        _clear(ip)
    return None


def _clear(ip: IPRoute) -> None:
    """Leave nothing to the next attempt but the loopback device."""
    loopback = _loopback(ip)
    for index in [link["index"] for link in ip.get_links() if link["index"] != loopback]:
        # The other end of a veth goes with the first, and devices like tunl0 belong to the namespace.
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
    """Ask nf_tables for its generation: the shortest question that only it can answer."""
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
