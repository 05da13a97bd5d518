"""A kernel's own answers about a packet: its route, its neighbour, its settings."""

import errno
import fcntl
import os
import socket
import struct
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from lab.core.prefixes import Address, Family, Prefix
from lab.engine.devices import Device, devices
from lab.engine.namespace import Namespace
from lab.observe.rtnetlink import MAIN_TABLE, UNICAST, RouteMessage, messages

_RTM_GETROUTE, _RTM_GETNEIGH, _NLM_F_REQUEST, _NLM_F_DUMP = 26, 30, 0x1, 0x300
_LOOKUP_TABLE, _FIB_MATCH = 0x1000, 0x2000
"""Flags of a request for a route (rtnetlink(7)): answer with its table, and with the prefix that matched."""
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ATTRIBUTE = struct.Struct("=HH")
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTA_DST, _RTA_SRC, _RTA_IIF = 1, 2, 3
_NDA_DST = 1
_LOCAL = 2
_SIOCGIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8913, 0x1, 0x40
_TABLES = {MAIN_TABLE: "main", 255: "local", 253: "default"}
_NEIGHBOUR_STATES = {
    0x01: "INCOMPLETE",
    0x02: "REACHABLE",
    0x04: "STALE",
    0x08: "DELAY",
    0x10: "PROBE",
    0x20: "FAILED",
    0x40: "NOARP",
    0x80: "PERMANENT",
}
UNRESOLVED = ("INCOMPLETE", "FAILED")
"""The states in which a neighbour's link-layer address is not known."""


@dataclass(frozen=True)
class Lookup:
    """The answer of a kernel to the question which route a packet takes."""

    prefix: Prefix | None = None
    """The prefix that matched; None without a route."""
    next_hop: Address | None = None
    """None for a destination on link."""
    interface: str = ""
    table: str = ""
    local: bool = False
    """True if the packet is for this node."""
    refused: str = ""
    """The name of the kernel's error, as `ENETUNREACH`; empty if there is a route."""

    def __str__(self) -> str:
        if self.refused:
            return f"no route ({os.strerror(getattr(errno, self.refused, 0))})"
        if self.local:
            return "local"
        via = f" via {self.next_hop}" if self.next_hop else ""
        table = f" table {self.table}" if self.table != "main" else ""
        return f"{self.prefix}{via} dev {self.interface}{table}"


def route_of(namespace: Namespace, source: Address | None, destination: Address, arrived_on: str = "") -> Lookup:
    """Ask the kernel for the route of a packet; `arrived_on` is the interface of one that it would forward.

    The kernel then judges it as it judges a packet, with its rules, `rp_filter` and, for IPv4, forwarding.
    """
    return namespace.run(partial(_route_of, source, destination, arrived_on))


def _route_of(source: Address | None, destination: Address, arrived_on: str) -> Lookup:
    family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
    length = len(destination.packed) * 8
    attributes = _attribute(_RTA_DST, destination.packed)
    if source is not None and source.is_unspecified:
        source = None
    if source is not None:
        attributes += _attribute(_RTA_SRC, source.packed)
    if arrived_on:
        try:
            index = socket.if_nametoindex(arrived_on)
        except OSError:
            return Lookup(refused="ENODEV")
        attributes += _attribute(_RTA_IIF, struct.pack("=I", index))
    source_length = length if source is not None else 0
    head = _ROUTE.pack(family, length, source_length, 0, 0, 0, 0, 0, _LOOKUP_TABLE | _FIB_MATCH)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        request = head + attributes
        netlink.send(_HEADER.pack(_HEADER.size + len(request), _RTM_GETROUTE, _NLM_F_REQUEST, 1, 0) + request)
        answer = netlink.recv(1 << 16)
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind == _NLMSG_ERROR:
        (number,) = struct.unpack_from("=i", answer, _HEADER.size)
        return Lookup(refused=errno.errorcode.get(-number, str(-number)))
    found = next((message for message in messages(answer) if isinstance(message, RouteMessage)), None)
    if found is None:
        return Lookup(refused="EPROTO")
    if found.kind not in (UNICAST, _LOCAL):  # IPv6 answers with the route that refuses instead of an error
        return Lookup(prefix=found.prefix, refused="ENETUNREACH")
    hop, index = found.hops[0] if found.hops else (None, 0)
    return Lookup(
        prefix=found.prefix,
        next_hop=hop,
        interface=socket.if_indextoname(index) if index else "",
        table=_TABLES.get(found.table, str(found.table)),
        local=found.kind == _LOCAL,
    )


def source_towards(namespace: Namespace, destination: Address) -> Address:
    """Return the source address that the kernel chooses for a destination; the unspecified one if it has no route."""

    def work() -> Address:
        family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as chooser:
            try:
                chooser.connect((str(destination), 9))  # sends nothing
            except OSError:
                return type(destination)(0)
            return ip_address(chooser.getsockname()[0])

    return namespace.run(work)


def neighbours(namespace: Namespace) -> dict[tuple[str, Address], str]:
    """Return the state of each neighbour (ARP, RFC 826; neighbour discovery, RFC 4861) by interface and address."""
    return namespace.run(_neighbours)


def _neighbours() -> dict[tuple[str, Address], str]:
    names = dict(socket.if_nameindex())
    found: dict[tuple[str, Address], str] = {}
    request = _NEIGHBOUR.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        flags = _NLM_F_REQUEST | _NLM_F_DUMP
        netlink.send(_HEADER.pack(_HEADER.size + len(request), _RTM_GETNEIGH, flags, 1, 0) + request)
        while True:
            data = netlink.recv(1 << 17)
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, kind, *_ = _HEADER.unpack_from(data, offset)
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    return found
                body = data[offset + _HEADER.size : offset + length]
                _, index, state, _, _ = _NEIGHBOUR.unpack_from(body)
                for attribute, value in _attributes(body[_NEIGHBOUR.size :]):
                    if attribute == _NDA_DST and len(value) in (4, 16):
                        found[names.get(index, "?"), ip_address(value)] = _NEIGHBOUR_STATES.get(state, str(state))
                offset += (length + 3) & ~3


@dataclass(frozen=True)
class Interface:
    """An interface, and what of it decides about packets."""

    device: Device
    up: bool
    carrier: bool


def interfaces(namespace: Namespace) -> dict[str, Interface]:
    """Return the interfaces of a node by name."""

    def work() -> dict[str, Interface]:
        found = {}
        for name, device in devices().items():
            flags = _flags(name)
            found[name] = Interface(device, bool(flags & _IFF_UP), bool(flags & _IFF_RUNNING))
        return found

    return namespace.run(work)


def _flags(name: str) -> int:
    """Return the flags of an interface: IFF_UP, IFF_RUNNING, … (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        try:
            answer = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sh14x", name.encode(), 0))
        except OSError:
            return 0
    return int(struct.unpack_from("=H", answer, 16)[0])


def setting(namespace: Namespace, name: str) -> str:
    """Return a kernel parameter below `net`, as `ipv4.ip_forward`; empty if it does not exist."""

    def work() -> str:
        try:
            return Path("/proc/sys/net", *name.split("/")).read_text().strip()
        except OSError:
            return ""

    return namespace.run(work)


def forwards(namespace: Namespace, family: Family, interface: str) -> bool | None:
    """Return whether packets that arrive on an interface are forwarded; None if it is not known."""
    if family == "ipv4":
        value = setting(namespace, f"ipv4/conf/{interface}/forwarding")
    else:
        value = setting(namespace, "ipv6/conf/all/forwarding")
    return None if value == "" else value != "0"


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found, offset = [], 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found.append((kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]))
        offset += (length + 3) & ~3
    return found
