"""Datagrams of a given size between two nodes, and path MTU discovery (RFC 1191, RFC 8201)."""

import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_interface
from itertools import count

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether

from lab.engine.namespace import Namespace
from lab.observe import CapturedPacket
from lab.runtime.node import LabNode
from lab.topology import Family
from lab.topology.segments import endpoints_of

_PORT = 4242
_A_MOMENT = 0.05
"""Seconds to wait for a packet before the next one is sent; a later arrival is counted too."""
_LEVEL = {"ipv4": socket.IPPROTO_IP, "ipv6": socket.IPPROTO_IPV6}
_MTU_DISCOVER = {"ipv4": 10, "ipv6": 23}
_MTU = {"ipv4": 14, "ipv6": 24}
_DISCOVER, _FRAGMENT = 2, 0
_HEADERS = {"ipv4": 20 + 8, "ipv6": 40 + 8}
_marks = count()
_fresh = count(0x100)
"""Numbers of unused addresses, since the kernel caches the path MTU by destination."""


@dataclass(frozen=True)
class Sent:
    """The fate of datagrams: those that neither arrived nor were refused were lost silently."""

    arrived: bool
    refused: int | None = None
    """The path MTU that the sender has learnt for a datagram that is too large."""


class Datagrams:
    """A sender in one node and a receiver in another."""

    def __init__(self, sender: socket.socket, receiver: socket.socket, family: Family) -> None:
        self._sender, self._receiver, self._family = sender, receiver, family

    @property
    def path_mtu(self) -> int:
        """The path MTU known to the sender."""
        return self._sender.getsockopt(_LEVEL[self._family], _MTU[self._family])

    def send_until(self, size: int, *, fragment: bool = False, tries: int = 300) -> Sent:
        """Send packets of `size` bytes until one has arrived, or the sender has learnt that they are too large.

        With `fragment` they may be fragmented, and a path MTU that the sender learns does not end it.
        """
        level, how = _LEVEL[self._family], _FRAGMENT if fragment else _DISCOVER
        self._sender.setsockopt(level, _MTU_DISCOVER[self._family], how)
        # Marked, so that a late one of an earlier call is not taken for one of these.
        payload = next(_marks).to_bytes(8, "big").ljust(size - _HEADERS[self._family], b".")
        for _ in range(tries):
            try:
                self._sender.send(payload)
            except OSError as error:  # an ICMP error came back, or the kernel knows already
                if error.errno != errno.EMSGSIZE:
                    raise
                if not fragment and self.path_mtu < size:
                    return Sent(False, self.path_mtu)
            if self._arrived(payload):
                return Sent(True)
        return Sent(False)

    def _arrived(self, payload: bytes) -> bool:
        self._receiver.settimeout(_A_MOMENT)
        try:
            while self._receiver.recv(65535) != payload:
                pass
        except TimeoutError:
            return False
        return True


@contextmanager
def datagrams(sender: LabNode, receiver: LabNode, family: Family) -> Iterator[Datagrams]:
    """Open a socket at each end; the receiver's has an address that was not used before."""
    here, there = sender.running.namespace, receiver.running.namespace
    (end,) = endpoints_of(receiver.topology, receiver.name)
    network = (end.ipv4 if family == "ipv4" else end.ipv6).network  # type: ignore[union-attr]
    address = ip_interface(f"{network[next(_fresh)]}/{network.prefixlen}")
    receiver.running.add_addresses(end.interface, [address])
    try:
        with ExitStack() as stack:
            receiving, sending = (stack.enter_context(_socket(n, family)) for n in (there, here))
            receiving.bind((str(address.ip), _PORT))
            sending.connect((str(address.ip), _PORT))
            yield Datagrams(sending, receiving, family)
    finally:
        receiver.running.remove_addresses(end.interface, [address])


def _socket(namespace: Namespace, family: Family) -> socket.socket:
    version = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    return namespace.run(lambda: socket.socket(version, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC))


def fragments(packets: Iterable[CapturedPacket]) -> list[CapturedPacket]:
    """Return the fragments, by the outermost header (RFC 791, RFC 8200)."""
    return [packet for packet in packets if _is_part(packet)]


def _is_part(packet: CapturedPacket) -> bool:
    frame = packet.decode()
    header = frame.payload if isinstance(frame, Ether) else frame
    if isinstance(header, IP):
        return bool(header.flags.MF) or header.frag > 0
    return isinstance(header, IPv6) and isinstance(header.payload, IPv6ExtHdrFragment)
