"""Devices, queues and nftables' tables of a network namespace, read by netlink(7).

`lab.engine.rtnl` changes devices. `lab.engine.nft` changes tables with pyroute2, whose import takes longer than a
command that only reads them should run.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface

from lab.core.errors import EnvironmentBroken
from lab.core.prefixes import Address, Interface
from lab.engine.attributes import aligned, attributes

_RTM_GETLINK, _RTM_GETADDR, _RTM_GETQDISC = 18, 22, 38
_REQUEST, _DUMP = 0x1, 0x300
_NFNL_SUBSYS_NFTABLES, _NFT_MSG_GETTABLE, _NFTA_TABLE_NAME = 10, 1, 1
_NFPROTO_NETDEV = 5
_ERROR, _DONE = 2, 3
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 4, 18, 1
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_QUEUE = struct.Struct("=BxxxiIII")
_NETFILTER = struct.Struct("=BBH")
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
        carried = dict(attributes(body[_LINK.size :]))
        name = _text(carried.get(_IFLA_IFNAME, b""))
        information = dict(attributes(carried.get(_IFLA_LINKINFO, b"")))
        (mtu,) = _U32.unpack(carried.get(_IFLA_MTU, bytes(4)))
        found[name] = Device(index, name, mtu, _text(information.get(_IFLA_INFO_KIND, b"")))
    return found


def addresses() -> frozenset[Address]:
    """Return the addresses of all devices of the calling thread's network namespace."""
    return frozenset(interface.ip for _, interface in _assigned())


def addresses_of(name: str) -> tuple[Interface, ...]:
    """Return a device's addresses with the lengths of their prefixes; empty if the device does not exist."""
    device = devices().get(name)
    return tuple(interface for index, interface in _assigned() if device is not None and index == device.index)


def _assigned() -> Iterator[tuple[int, Interface]]:
    """Yield the addresses of all devices, each with the index of its device."""
    for body in _dump(socket.NETLINK_ROUTE, _RTM_GETADDR, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        _, length, _, _, index = _ADDRESS.unpack_from(body)
        carried = dict(attributes(body[_ADDRESS.size :]))
        # Of a point-to-point device IFA_ADDRESS is the other end's.
        packed = carried.get(_IFA_LOCAL) or carried.get(_IFA_ADDRESS)
        if packed is not None and len(packed) in (4, 16):
            # Of a point-to-point device the length is that of the other end's prefix.
            yield index, ip_interface((ip_address(packed), length))


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
    return [_text(dict(attributes(body[_NETFILTER.size :])).get(_NFTA_TABLE_NAME, b"")) for body in bodies]


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
                offset += aligned(length)


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
