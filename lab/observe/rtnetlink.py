"""Parser of the kernel's messages about routes, links and addresses (rtnetlink(7), netlink(7)).

It takes a tenth of the time of a general parser, so that a burst of a hundred thousand route events is read while it
lasts.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from lab.topology import Address, Prefix

MAIN_TABLE = 254
UNICAST = 1

_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_LINK = struct.Struct("=BxHiII")
_HOP = struct.Struct("=HBBi")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")

_NEWLINK, _DELLINK, _DELADDR, _NEWROUTE, _DELROUTE = 16, 17, 21, 24, 25
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA = 1, 4, 5, 6, 9, 15, 18
_RTA_NH_ID = 30
_IFLA_IFNAME = 3
_TYPE = 0x3FFF
"""Masks the flags for nesting and byte order."""
_AF_INET, _AF_INET6 = 2, 10
_IFF_UP = 0x1
_IFF_CARRIER = 0x40 | 0x10000
"""IFF_RUNNING and IFF_LOWER_UP: if both are missing, the kernel deletes the next hops through the interface."""
_BLACKHOLE, _BOOT, _ANYWHERE, _ON_LINK = 6, 3, 0, 253
_REQUEST, _CREATE, _EXCLUSIVE = 0x1, 0x400, 0x200


@dataclass(frozen=True, slots=True)
class RouteMessage:
    """RTM_NEWROUTE or RTM_DELROUTE."""

    new: bool
    prefix: Prefix
    hops: tuple[tuple[Address | None, int], ...]
    """Gateway (None: on link) and interface index of each next hop."""
    table: int
    kind: int
    """`UNICAST`, blackhole, local, …"""
    protocol: int
    metric: int
    uses_next_hop_object: bool = False
    """The route refers to a next hop object (ip-nexthop(8))."""


@dataclass(frozen=True, slots=True)
class LinkMessage:
    """RTM_NEWLINK or RTM_DELLINK."""

    index: int
    up: bool
    name: str = ""
    """The name in the message: the only source of it once the link is deleted."""
    carrier: bool = True
    """The link has a carrier."""


@dataclass(frozen=True, slots=True)
class AddressGone:
    """RTM_DELADDR."""


Message = RouteMessage | LinkMessage | AddressGone


def messages(data: bytes) -> Iterator[Message]:
    """Parse the data of one read of a netlink socket; other kinds of messages are skipped."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= len(data) - offset:
            return
        body, end = offset + _HEADER.size, offset + length
        if kind in (_NEWROUTE, _DELROUTE):
            family = data[body]
            if family in (_AF_INET, _AF_INET6):
                yield _route(data, body, end, new=kind == _NEWROUTE)
        elif kind in (_NEWLINK, _DELLINK):
            _, _, index, flags, _ = _LINK.unpack_from(data, body)
            attributes = dict(_attributes(data, body + _LINK.size, end))
            name = attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
            yield LinkMessage(index, kind == _NEWLINK and bool(flags & _IFF_UP), name, bool(flags & _IFF_CARRIER))
        elif kind == _DELADDR:
            yield AddressGone()
        offset += _aligned(length)


def route_message(prefix: Prefix, interface: int | None, *, new: bool) -> bytes:
    """Return the request that adds or deletes a route of the main table: out of an interface, or a blackhole for None.

    The kernel executes it before send(2) returns.
    """
    version, family = prefix.version, _AF_INET if prefix.version == 4 else _AF_INET6
    kind = _BLACKHOLE if interface is None else UNICAST
    scope = _ON_LINK if version == 4 and interface is not None else _ANYWHERE
    body = _ROUTE.pack(family, prefix.prefixlen, 0, 0, MAIN_TABLE, _BOOT, scope, kind, 0)
    destination = prefix.network_address.packed
    body += _ATTRIBUTE.pack(4 + len(destination), _RTA_DST) + destination
    if interface is not None:
        body += _ATTRIBUTE.pack(8, _RTA_OIF) + _U32.pack(interface)
    flags = _REQUEST | (_CREATE | _EXCLUSIVE if new else 0)
    return _HEADER.pack(_HEADER.size + len(body), _NEWROUTE if new else _DELROUTE, flags, 1, 0) + body


def _route(data: bytes, start: int, end: int, *, new: bool) -> RouteMessage:
    family, length, _, _, table, protocol, _, kind, _ = _ROUTE.unpack_from(data, start)
    destination = b""
    gateway: Address | None = None
    interface = metric = 0
    uses_next_hop_object = False
    several: list[tuple[Address | None, int]] = []
    for attribute, value in _attributes(data, start + _ROUTE.size, end):
        if attribute == _RTA_DST:
            destination = value
        elif attribute == _RTA_OIF:
            (interface,) = _U32.unpack(value)
        elif attribute in (_RTA_GATEWAY, _RTA_VIA):
            gateway = _gateway(attribute, value)
        elif attribute == _RTA_PRIORITY:
            (metric,) = _U32.unpack(value)
        elif attribute == _RTA_TABLE:
            (table,) = _U32.unpack(value)
        elif attribute == _RTA_NH_ID:
            uses_next_hop_object = True
        elif attribute == _RTA_MULTIPATH:
            several = list(_hops(value))
    prefix: Prefix
    if family == _AF_INET:
        prefix = IPv4Network((int.from_bytes(destination, "big"), length))
    else:
        prefix = IPv6Network((int.from_bytes(destination, "big"), length))
    one = ((gateway, interface),) if interface or gateway is not None else ()
    return RouteMessage(new, prefix, (*one, *several), table, kind, protocol, metric, uses_next_hop_object)


def _hops(value: bytes) -> Iterator[tuple[Address | None, int]]:
    offset = 0
    while offset + _HOP.size <= len(value):
        length, _, _, interface = _HOP.unpack_from(value, offset)
        if length < _HOP.size:
            return
        inside = _attributes(value, offset + _HOP.size, offset + length)
        gateways = [_gateway(kind, v) for kind, v in inside if kind in (_RTA_GATEWAY, _RTA_VIA)]
        yield (gateways[0] if gateways else None), interface
        offset += _aligned(length)


def _gateway(attribute: int, value: bytes) -> Address:
    raw = value[2:] if attribute == _RTA_VIA else value  # RTA_VIA begins with the family: IPv4 via IPv6
    return IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)


def _attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    while start + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE, data[start + _ATTRIBUTE.size : start + length]
        start += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
