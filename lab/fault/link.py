"""A link whose named end is set down; the other end loses its carrier."""

import errno
import fcntl
import socket
import struct
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Self

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lab.core.errors import InputError
from lab.fault.base import FaultAction, FaultSite, OnLink
from lab.fault.path import PathEffect, RouterPath

_IFF_UP = 0x1
_IFF_CHANGEABLE = 0xFFFF
_SIOCSIFFLAGS = 0x8914
_MAIN_TABLE = 254
_AF_INET, _AF_INET6 = 2, 10
_DEFAULT_ROUTE = {_AF_INET: "0.0.0.0", _AF_INET6: "::"}  # noqa: S104 - prefixes, no sockets
_IFA_F_NODAD = 0x02
_LINK_SCOPE = 253
_STATIC_PROTOCOLS = (3, 4)
"""Protocols of static routes (`boot`, `static`); daemons restore their own routes."""


class LinkDown(OnLink):
    """The named end is set down, as by `ip link set … down`; the other end loses its carrier."""

    kind = "link-down"
    summary = "a link's named end is set down, the other end loses its carrier; undone: up, with addresses and routes"
    effect = PathEffect(silent=True, cuts_carrier=True)

    @classmethod
    def on_path(cls, path: RouterPath, **choices: Any) -> Self:
        """Return the fault that cuts the carrier of the near router's link."""
        return cls.model_validate({"link": path.underlay, **choices})

    def __str__(self) -> str:
        return f"{self.link} down"

    def acts_on(self, site: FaultSite) -> Iterable[str]:
        """Return the node of the named end."""
        return [self.end(site)[0]]

    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that sets the end down, with the addresses and routes that the kernel removes."""
        node, interface = self.end(site)
        namespace = site.running(node).namespace
        kept = namespace.run(partial(_read_state, self.link, interface))
        # A socket belongs to the namespace it was made in, and so do its ioctls (netdevice(7)).
        control = namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC))
        request = struct.pack("16sh", interface.encode(), kept["flags"] & ~_IFF_UP)
        return FaultAction(do=lambda: fcntl.ioctl(control, _SIOCSIFFLAGS, request), then=control.close, kept=kept)

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """Return the action that sets the end up and restores IPv6 addresses and static routes."""
        node, _ = self.end(site)
        namespace = site.running(node).namespace
        return FaultAction(lambda: namespace.run(partial(_restore, kept)))


def _read_state(link: str, interface: str) -> dict[str, Any]:
    with IPRoute() as ip:
        found = ip.link_lookup(ifname=interface)
        if not found:
            raise InputError(f"{link} no longer exists")
        index = found[0]
        flags = ip.get_links(index)[0]["flags"]
        if not flags & _IFF_UP:
            raise InputError(f"{link} is down already")
        addresses = [
            {
                "address": a.get_attr("IFA_ADDRESS"),
                "prefixlen": a["prefixlen"],
                "family": a["family"],
                "flags": _IFA_F_NODAD,
            }
            for a in ip.get_addr(index=index)
            if a["family"] == _AF_INET6 and a["scope"] != _LINK_SCOPE
        ]
        routes = [
            {
                "dst": f"{r.get_attr('RTA_DST') or _DEFAULT_ROUTE[r['family']]}/{r['dst_len']}",
                "family": r["family"],
                "gateway": r.get_attr("RTA_GATEWAY"),
                "priority": r.get_attr("RTA_PRIORITY") or 0,
                "proto": r["proto"],
            }
            for r in ip.get_routes()
            if r.get_attr("RTA_OIF") == index
            and r["proto"] in _STATIC_PROTOCOLS
            and (r.get_attr("RTA_TABLE") or r["table"]) == _MAIN_TABLE
        ]
    return {
        "index": index,
        "flags": flags & _IFF_CHANGEABLE,
        "addresses": addresses,
        "routes": [{k: v for k, v in r.items() if v} for r in routes],
    }


def _restore(kept: Mapping[str, Any]) -> None:
    with IPRoute() as ip:
        ip.link("set", index=kept["index"], state="up")
        for address in kept["addresses"]:
            _ignore_existing(ip.addr, "add", index=kept["index"], **address)
        for route in kept["routes"]:
            _ignore_existing(ip.route, "replace", oif=kept["index"], **route)


def _ignore_existing(change: Any, verb: str, **arguments: Any) -> None:
    try:
        change(verb, **arguments)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise
