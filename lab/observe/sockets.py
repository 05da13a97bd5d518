"""The TCP and UDP sockets of a node, as its kernel lists them (/proc/net/tcp, proc(5))."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal, Self

from lab.core.prefixes import Address
from lab.engine.namespace import Namespace

Transport = Literal["tcp", "udp"]


class State(StrEnum):
    """The states of a socket that are looked for, as the kernel writes them; UDP has those of TCP."""

    ESTABLISHED = "01"
    SYN_SENT = "02"
    UNCONNECTED = "07"
    """A UDP socket that is bound and not connected."""
    LISTENING = "0A"


@dataclass(frozen=True)
class SocketAddress:
    """An address and a port of a transport protocol."""

    transport: str
    """`tcp` or `udp`."""
    address: Address
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{self.transport.upper()} {host}:{self.port}"

    def takes(self, other: Self) -> bool:
        """Return True if a socket here gets what is sent there."""
        wild = self.address.is_unspecified and (self.address.version == 6 or other.address.version == 4)
        return (self.transport, self.port) == (other.transport, other.port) and (wild or self.address == other.address)


@dataclass(frozen=True)
class Socket:
    """A socket of a node."""

    local: SocketAddress
    remote: SocketAddress
    state: str
    """One of `State`, or another of the kernel's."""
    queued: int
    """Bytes that were sent and not acknowledged, or that wait to be sent."""
    retransmitted: int
    """How often the oldest segment was sent again."""

    @property
    def stalled(self) -> bool:
        """True if data waits for an acknowledgement that does not come."""
        return self.queued > 0 and self.retransmitted > 0


def sockets(namespace: Namespace, transport: Transport, state: State) -> list[Socket]:
    """Return the sockets of a node in a state, of both families; none if the node has ended."""
    found: list[Socket] = []
    for version in ("", "6"):
        try:
            table = Path(f"/proc/{namespace.pid}/net/{transport}{version}").read_text()
        except OSError:  # the node has just ended, or IPv6 is off
            continue
        found += [each for each in read(table, transport) if each.state == state]
    return found


def listens(namespace: Namespace, port: int) -> bool:
    """Return whether a socket of a namespace listens on a TCP port."""
    return any(each.local.port == port for each in sockets(namespace, "tcp", State.LISTENING))


def read(table: str, transport: Transport) -> Iterator[Socket]:
    """Parse a table: number, local and remote address, state, queues, timer, retransmissions."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        queued = int(fields[4].partition(":")[0], 16)
        yield Socket(_end(fields[1], transport), _end(fields[2], transport), fields[3], queued, int(fields[6], 16))


def _end(text: str, transport: Transport) -> SocketAddress:
    """Parse an address, words of four bytes in the host's byte order, and a port."""
    digits, _, port = text.partition(":")
    packed = b"".join(struct.pack("=I", int(digits[at : at + 8], 16)) for at in range(0, len(digits), 8))
    if len(packed) == 4:
        return SocketAddress(transport, IPv4Address(packed), int(port, 16))
    address = IPv6Address(packed)
    return SocketAddress(transport, address.ipv4_mapped or address, int(port, 16))
