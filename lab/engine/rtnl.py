"""Changes of links, addresses and routes by rtnetlink(7), in the network namespace of the calling thread.

pyroute2 knows all kinds of links, but its import takes as long as starting ten nodes, and each message as long as fifty
of these. So it is used for kernel tunnels and for links to the host's network only.
"""

import os
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lab.core.prefixes import Address, Interface, Prefix

_NEWLINK, _DELLINK, _NEWADDR, _DELADDR, _NEWROUTE, _NEWLINKPROP = 16, 17, 20, 21, 24, 108
_REQUEST, _ACK, _REPLACE, _EXCLUSIVE, _CREATE, _APPEND = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800
_NLMSG_ERROR = 2
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_NESTED = 0x8000
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER = 1, 3, 4, 10
_IFLA_LINKINFO, _IFLA_NET_NS_PID, _IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 18, 19, 52, 53
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFA_F_NODAD = 0x02
_RTA_DST, _RTA_GATEWAY = 1, 5
_MAIN_TABLE, _STATIC, _UNIVERSE, _UNICAST = 254, 4, 0, 1
_IFF_UP = 0x1
_CHUNK = 1 << 16


@dataclass(frozen=True)
class End:
    """A link's end as it is created: its name, and what it has from the start."""

    name: str
    mtu: int | None = None
    mac: str | None = None
    pid: int | None = None
    """A process in whose network namespace it is created; None for the calling thread's."""

    def _attributes(self) -> bytes:
        found = _attribute(_IFLA_IFNAME, self.name.encode() + b"\0")
        if self.mtu is not None:
            found += _number(_IFLA_MTU, self.mtu)
        if self.mac is not None:
            found += _attribute(_IFLA_ADDRESS, bytes.fromhex(self.mac.replace(":", "").replace("-", "")))
        if self.pid is not None:
            found += _number(_IFLA_NET_NS_PID, self.pid)
        return found


class RouteSocket:
    """A netlink socket; use it as a context manager. Each change raises `OSError` if the kernel refuses it."""

    def __init__(self) -> None:
        """Open the socket in the calling thread's namespace, in which it stays."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def add_link(self, kind: str, end: End, peer: End | None = None) -> None:
        """Create a link of a kind, e.g. `veth` with its peer."""
        information = _attribute(_IFLA_INFO_KIND, kind.encode())
        if peer is not None:
            other = _attribute(_VETH_INFO_PEER | _NESTED, _LINK.pack(0, 0, 0, 0, 0) + peer._attributes())
            information += _attribute(_IFLA_INFO_DATA | _NESTED, other)
        body = _LINK.pack(0, 0, 0, 0, 0) + end._attributes() + _attribute(_IFLA_LINKINFO | _NESTED, information)
        self._change(_NEWLINK, _CREATE | _EXCLUSIVE, body)

    def set_up(self, index: int) -> None:
        """Bring a link up."""
        self._change(_NEWLINK, 0, _LINK.pack(0, 0, index, _IFF_UP, _IFF_UP))

    def set_master(self, index: int, master: int) -> None:
        """Make a link a port of a bridge."""
        self._change(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + _number(_IFLA_MASTER, master))

    def move(self, index: int, pid: int, name: str) -> None:
        """Move a link into the network namespace of a process, under a name."""
        self._change(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + End(name, pid=pid)._attributes())

    def add_alternative_name(self, index: int, name: str) -> None:
        """Add an alternative name to a link (ip-link(8), `property add`)."""
        names = _attribute(_IFLA_ALT_IFNAME, name.encode() + b"\0")
        body = _LINK.pack(0, 0, index, 0, 0) + _attribute(_IFLA_PROP_LIST | _NESTED, names)
        self._change(_NEWLINKPROP, _CREATE | _EXCLUSIVE | _APPEND, body)

    def delete_link(self, index: int) -> None:
        """Delete a link."""
        self._change(_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0))

    def add_address(self, index: int, address: Interface) -> None:
        """Add an address to a link; one of IPv6 without duplicate address detection."""
        self._change(_NEWADDR, _CREATE | _EXCLUSIVE, _address(index, address))

    def delete_address(self, index: int, address: Interface) -> None:
        """Delete an address of a link."""
        self._change(_DELADDR, 0, _address(index, address))

    def replace_route(self, prefix: Prefix, gateway: Address) -> None:
        """Set a static route of the main table to a prefix."""
        header = (_family(gateway), prefix.prefixlen, 0, 0, _MAIN_TABLE, _STATIC, _UNIVERSE, _UNICAST, 0)
        destination = _attribute(_RTA_DST, prefix.network_address.packed) if prefix.prefixlen else b""
        body = _ROUTE.pack(*header) + destination + _attribute(_RTA_GATEWAY, gateway.packed)
        self._change(_NEWROUTE, _CREATE | _REPLACE, body)

    def _change(self, kind: int, flags: int, body: bytes) -> None:
        """Send a request, which the kernel executes before it acknowledges it."""
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _ACK | flags, 1, 0)
        self._socket.send(header + body)
        answer = self._socket.recv(_CHUNK)
        _, answered, *_ = _HEADER.unpack_from(answer)
        (number,) = struct.unpack_from("=i", answer, _HEADER.size)
        if answered != _NLMSG_ERROR or number != 0:
            raise OSError(-number, os.strerror(-number))


def _address(index: int, address: Interface) -> bytes:
    flags = _IFA_F_NODAD if address.version == 6 else 0
    header = _ADDRESS.pack(_family(address.ip), address.network.prefixlen, flags, 0, index)
    return header + _attribute(_IFA_ADDRESS if address.version == 6 else _IFA_LOCAL, address.ip.packed)


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, _U32.pack(value))
