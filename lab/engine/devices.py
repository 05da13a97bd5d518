"""Devices, queues and nftables' tables of a network namespace, read by netlink(7).

`lab.engine.netlink` and `lab.engine.nft` change them with pyroute2, whose import takes longer than
a command that only reads them should run.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lab.core.errors import EnvironmentBroken

_RTM_GETLINK, _RTM_GETQDISC = 18, 38
_REQUEST, _DUMP = 0x1, 0x300
_NFNL_SUBSYS_NFTABLES, _NFT_MSG_GETTABLE, _NFTA_TABLE_NAME = 10, 1, 1
_NFPROTO_NETDEV = 5
_ERROR, _DONE = 2, 3
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 4, 18, 1
_TYPE = 0x3FFF
"""An attribute's type without the flags for nesting and byte order."""
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_QUEUE = struct.Struct("=BxxxiIII")
_NETFILTER = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_CHUNK = 1 << 17
_NETLINK_NETFILTER = 12


@dataclass(frozen=True)
class Device:
    """A network device."""

    index: int
    name: str
    mtu: int
    kind: str
    """`veth`, `tun`, `ovpn`, …; empty if the device has no kind of its own, like `lo`."""


def devices() -> dict[str, Device]:
    """Return the devices of the calling thread's network namespace by name."""
    found = {}
    for body in _dump(socket.NETLINK_ROUTE, _RTM_GETLINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        _, _, index, _, _ = _LINK.unpack_from(body)
        attributes = dict(_attributes(body[_LINK.size :]))
        name = _text(attributes.get(_IFLA_IFNAME, b""))
        information = dict(_attributes(attributes.get(_IFLA_LINKINFO, b"")))
        (mtu,) = _U32.unpack(attributes.get(_IFLA_MTU, bytes(4)))
        found[name] = Device(index, name, mtu, _text(information.get(_IFLA_INFO_KIND, b"")))
    return found


def queue_handles(index: int) -> list[int]:
    """Return the handles of a device's queueing disciplines (tc(8)); the upper 16 bits are the major number."""
    found = []
    for body in _dump(socket.NETLINK_ROUTE, _RTM_GETQDISC, _QUEUE.pack(socket.AF_UNSPEC, index, 0, 0, 0)):
        _, device, handle, _, _ = _QUEUE.unpack_from(body)
        if device == index:
            found.append(handle)
    return found


def netdev_tables() -> list[str]:
    """Return the names of nftables' tables of the family netdev; none if the kernel lacks nftables."""
    kind = _NFNL_SUBSYS_NFTABLES << 8 | _NFT_MSG_GETTABLE
    try:
        bodies = list(_dump(_NETLINK_NETFILTER, kind, _NETFILTER.pack(_NFPROTO_NETDEV, 0, 0)))
    except EnvironmentBroken:
        return []
    return [_text(dict(_attributes(body[_NETFILTER.size :])).get(_NFTA_TABLE_NAME, b"")) for body in bodies]


def _dump(protocol: int, kind: int, request: bytes) -> Iterator[bytes]:
    """Yield the bodies of the answers to a dump request."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as netlink:
        netlink.bind((0, 0))
        netlink.send(_HEADER.pack(_HEADER.size + len(request), kind, _REQUEST | _DUMP, 1, 0) + request)
        while True:
            data = netlink.recv(_CHUNK)
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, answer, *_ = _HEADER.unpack_from(data, offset)
                body = data[offset + _HEADER.size : offset + length]
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    (number,) = struct.unpack_from("=i", body)
                    raise EnvironmentBroken(f"the kernel refused a netlink request: {os.strerror(-number)}")
                yield body
                offset += _aligned(length)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE, data[offset + _ATTRIBUTE.size : offset + length]
        offset += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
