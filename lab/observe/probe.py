"""ICMP echo from a node's namespace (RFC 792, RFC 4443), and single packets of any kind.

The kernel's ping sockets fill in identifier and checksum for both families, and deliver to each socket its own replies.
"""

import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from lab.engine.namespace import Namespace
from lab.topology import Address

_ECHO_REQUEST = {4: 8, 6: 128}
_ECHO_REPLY = {4: 0, 6: 129}
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
_PMTUDISC_PROBE = 3
"""Set DF and ignore the cached path MTU: each probe tests the path again."""
_HEADERS = {4: 20 + 8, 6: 40 + 8}


@dataclass(frozen=True)
class Echo:
    """The result of echo requests to one address."""

    source: str
    destination: Address
    sent: int
    received: int
    refused: str = ""
    """The last error of a send, e.g. `Message too long`, or from an ICMP message; empty if there is none."""

    @property
    def answered(self) -> bool:
        """Return whether each request was answered."""
        return self.sent > 0 and self.received == self.sent

    @property
    def silent(self) -> bool:
        """Return whether no request was answered."""
        return self.received == 0

    def __str__(self) -> str:
        why = f" ({self.refused})" if self.refused else ""
        return f"{self.received} of {self.sent} echo requests from {self.source} to {self.destination} answered{why}"


def echo(
    namespace: Namespace,
    source: str,
    destination: Address,
    *,
    count: int = 1,
    packet_size: int = 84,
    interval: float = 0.05,
    wait: float = 1.0,
) -> Echo:
    """Ping from a node: send `count` echo requests and count the replies.

    `packet_size` is the size of the IP packet in bytes; it is never fragmented (DF is set, IPv6 is not fragmented at
    the source). Replies are awaited for `wait` seconds after the last request, or until all have arrived.
    """
    return namespace.run(lambda: _echo(source, destination, count, packet_size, interval, wait))


def send(namespace: Namespace, packet: Any, interface: str | None = None) -> None:
    """Send one scapy packet, which begins with its IP header, by the routes of the namespace (raw(7)).

    Packets to multicast groups and link-local addresses need the `interface` to leave by.
    """
    version = packet.version
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    def work() -> None:
        with socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW) as sender:
            if interface is not None:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            sender.sendto(bytes(packet), (packet.dst, 0))

    namespace.run(work)


def _echo(source: str, destination: Address, count: int, packet_size: int, interval: float, wait: float) -> Echo:
    version = destination.version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    protocol = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
    payload = bytes(index % 256 for index in range(max(0, packet_size - _HEADERS[version])))
    answered: set[int] = set()
    refused = ""
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, protocol) as pinger:
        if version == 4:
            pinger.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
        else:
            pinger.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)

        def collect(until: float) -> str:
            """Receive replies until a time, or until all requests are answered."""
            last_error = ""
            while len(answered) < sent and (left := until - time.monotonic()) > 0:
                ready, _, _ = select.select([pinger], [], [], left)
                if not ready:
                    break
                try:
                    answer = pinger.recv(65535)
                except OSError as error:  # an ICMP error
                    last_error = error.strerror or str(error)
                    continue
                kind, _, _, _, sequence = struct.unpack_from("!BBHHH", answer)
                if kind == _ECHO_REPLY[version]:
                    answered.add(sequence)
            return last_error

        sent = 0
        for sequence in range(1, count + 1):
            request = struct.pack("!BBHHH", _ECHO_REQUEST[version], 0, 0, 0, sequence) + payload
            sent += 1
            try:
                pinger.sendto(request, (str(destination), 0))
            except OSError as error:
                refused = error.strerror or str(error)
                continue
            last = sequence == count
            pause = time.monotonic() + interval
            refused = collect(time.monotonic() + wait if last else pause) or refused
            if not last and (left := pause - time.monotonic()) > 0:
                time.sleep(left)
    return Echo(source, destination, sent, len(answered), refused)
