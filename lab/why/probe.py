"""The packets that `lab why` sends, and how each of them is recognised wherever it is captured.

An echo request and a datagram have a token and their number in the payload, which no router and no NAT changes; a TCP
segment has its initial sequence number. So the very same packet is recognised on every interface.
"""

import os
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal

from lab.core.errors import InputError
from lab.core.prefixes import Address, Family, family_of
from lab.engine.namespace import Namespace
from lab.why.packet import ACK, ICMP, ICMPV6, RST, SYN, TCP, UDP, Packet

Protocol = Literal["icmp", "udp", "tcp", "syn"]
"""`syn` opens a connection half, so that no program at the other end sees it."""
Role = Literal["request", "reply", "error"]

_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _IPV6_DONTFRAG = 10, 23, 62
_DO_NOT, _PROBE = 0, 3
"""Never set DF, or set it and ignore the cached path MTU."""
_IP_HEADER = {4: 20, 6: 40}
_TRANSPORT_HEADER = 8
_TOKEN = 8
_IPV6_CHECKSUM, _TCP_CHECKSUM = 7, 16
_HIGH_PORTS = 0xC000
_ECHO_REQUEST, _ECHO_REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_ICMP_PROTOCOL = {4: ICMP, 6: ICMPV6}
SMALLEST = _TRANSPORT_HEADER + _TOKEN + 2
"""The fewest bytes behind the IP header that hold the mark."""
DEFAULT_SIZE = 84
"""Bytes of an IP packet unless a size is given; an echo request of ping(8) has as many."""


@dataclass(frozen=True)
class Probe:
    """Packets from a node to an address."""

    destination: Address
    protocol: Protocol = "icmp"
    port: int = 0
    """The destination port of UDP and TCP."""
    size: int | None = None
    """Bytes of the IP packet; None for a small one."""
    df: bool = False
    """Forbid fragmentation; IPv6 packets are then not fragmented at the source either."""
    count: int = 3
    source: Address | None = None
    """The source address; None for the kernel's choice."""
    interval: float = 0.02
    """Seconds between two packets."""
    wait: float = 1.0
    """Seconds in which answers to the last packet are awaited."""

    @property
    def family(self) -> Family:
        """The family of its packets."""
        return family_of(self.destination)

    def __str__(self) -> str:
        syn = f"SYN to port {self.port}"
        what = {"icmp": "echo request", "udp": f"datagram to port {self.port}", "tcp": syn, "syn": syn}
        size = f" of {self.size} bytes" if self.size else ""
        df = " with DF" if self.df and self.family == "ipv4" else ""
        return f"{what[self.protocol]}{size}{df}"


@dataclass
class Sent:
    """The packets that were sent, and the answers that the source's kernel received."""

    token: bytes
    started: float = 0.0
    """Seconds since the epoch."""
    times: dict[int, float] = field(default_factory=dict)
    """When each packet was sent, by its number, seconds since the epoch."""
    errors: dict[int, OSError] = field(default_factory=dict)
    """The error of a packet that could not be sent, or that an ICMP message reported, by its number."""
    answered: set[int] = field(default_factory=set)
    ports: dict[int, int] = field(default_factory=dict)
    """The source port of each packet of UDP and TCP."""


@dataclass(frozen=True)
class Sign:
    """The role of a captured packet in the probe."""

    number: int
    """The number of the probe's packet, from 1 on."""
    role: Role
    """`request`, `reply`, or `error` for an ICMP message about one of the two."""


def send(namespace: Namespace, probe: Probe, *, settle: float = 0.0) -> Sent:
    """Send the packets, wait for the answers, and then for `settle` seconds.

    Raises `InputError` for a source address that the node lacks.
    """
    senders = {"icmp": _send_echoes, "udp": _send_datagrams, "tcp": _connect, "syn": _send_syns}
    sender = senders[probe.protocol]
    sent = Sent(os.urandom(_TOKEN), time.time())
    namespace.run(lambda: sender(probe, sent))
    time.sleep(settle)
    return sent


def recognise(probe: Probe, sent: Sent, starts: dict[int, int], packet: Packet) -> Sign | None:
    """Return the role of a packet in the probe; None if it is unrelated.

    `starts` has the initial sequence numbers of TCP by packet number, and is filled while requests are recognised.
    """
    quoted = packet.quoted
    if quoted is not None:
        about = _number(probe, sent, starts, quoted)
        return None if about is None else Sign(about[0], "error")
    found = _number(probe, sent, starts, packet)
    if found is not None:
        return Sign(*found)
    return None


def payload(sent: Sent, number: int, length: int) -> bytes:
    """Return the payload of a packet: the token, its number, and as much more as it needs."""
    mark = sent.token + struct.pack("!H", number)
    return mark + bytes(index % 256 for index in range(max(0, length - len(mark))))


def _number(probe: Probe, sent: Sent, starts: dict[int, int], packet: Packet) -> tuple[int, Role] | None:
    """Return the number of the probe's packet, and whether it is the request or the reply."""
    if probe.protocol in ("tcp", "syn"):
        return _tcp_number(probe, sent, starts, packet)
    version = packet.source.version
    if sent.token in packet.payload[:_TOKEN]:
        number = struct.unpack_from("!H", packet.payload + b"\0\0", _TOKEN)[0]
        if probe.protocol == "icmp":
            if packet.protocol != _ICMP_PROTOCOL[version] or packet.icmp is None:
                return None
            role: Role = "reply" if packet.icmp[0] == _ECHO_REPLY[version] else "request"
            return number, role
        if packet.ports is None:
            return None
        source, destination = packet.ports
        # An echo server returns the payload.
        return number, "reply" if source == probe.port and destination in sent.ports.values() else "request"
    if probe.protocol == "udp" and packet.protocol == UDP and packet.ports is not None:
        source, destination = packet.ports
        numbers = [number for number, port in sent.ports.items() if port == destination]
        if source == probe.port and numbers:
            return numbers[0], "reply"
    return None


def _tcp_number(probe: Probe, sent: Sent, starts: dict[int, int], packet: Packet) -> tuple[int, Role] | None:
    """Recognise a SYN by its ports and then by its initial sequence number, and the answer by what it acknowledges."""
    if packet.protocol != TCP or packet.ports is None:
        return None
    source, destination = packet.ports
    if destination == probe.port:
        numbers = [number for number, port in sent.ports.items() if port == source]
        if numbers and packet.flags & (SYN | ACK) == SYN:
            starts.setdefault(numbers[0], packet.sequence)
        numbers = [number for number, start in starts.items() if start == packet.sequence]
        is_syn = packet.flags & (SYN | ACK) == SYN or not packet.flags  # an ICMP message quotes eight bytes
        return (numbers[0], "request") if numbers and is_syn else None
    if source == probe.port and packet.flags & (SYN | RST):
        numbers = [number for number, start in starts.items() if (start + 1) & 0xFFFFFFFF == packet.acknowledged]
        return (numbers[0], "reply") if numbers else None
    return None


# --- senders, which run in the node's namespace -------------------------------------------------------------


def _open(probe: Probe, kind: socket.SocketKind, protocol: int) -> socket.socket:
    version = probe.destination.version
    opened = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind | socket.SOCK_CLOEXEC, protocol)
    try:
        discover = _PROBE if probe.df else _DO_NOT
        if version == 4:
            opened.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, discover)
        else:
            opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, discover)
            opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, int(probe.df))
        if probe.source is not None:
            opened.bind((str(probe.source), 0))
    except OSError as error:
        opened.close()
        raise InputError(
            f"cannot send from {probe.source} ({error.strerror}): it is not an address of the node"
        ) from error
    return opened


def _length(probe: Probe) -> int:
    """Return the bytes of the payload behind the transport header."""
    size = max(probe.size or DEFAULT_SIZE, _IP_HEADER[probe.destination.version] + SMALLEST)
    return size - _IP_HEADER[probe.destination.version] - _TRANSPORT_HEADER


def _send_echoes(probe: Probe, sent: Sent) -> None:
    version = probe.destination.version
    with _open(probe, socket.SOCK_DGRAM, _ICMP_PROTOCOL[version]) as pinger:

        def collect(until: float) -> None:
            while sent.times.keys() - sent.errors.keys() - sent.answered and (left := until - time.monotonic()) > 0:
                ready, _, _ = select.select([pinger], [], [], left)
                if not ready:
                    return
                try:
                    answer = pinger.recv(65535)
                except OSError as error:  # an ICMP message; it does not say about which packet
                    number = min(sent.times.keys() - sent.errors.keys() - sent.answered)
                    sent.errors[number] = error
                    continue
                kind, _, _, _, sequence = struct.unpack_from("!BBHHH", answer)
                if kind == _ECHO_REPLY[version]:
                    sent.answered.add(sequence)

        for number in range(1, probe.count + 1):
            head = struct.pack("!BBHHH", _ECHO_REQUEST[version], 0, 0, 0, number)
            _send_one(pinger, probe, sent, number, head + payload(sent, number, _length(probe)))
            last = number == probe.count
            pause = time.monotonic() + (probe.wait if last else probe.interval)
            collect(pause)
            if not last:
                time.sleep(max(0.0, pause - time.monotonic()))


def _send_datagrams(probe: Probe, sent: Sent) -> None:
    with _open(probe, socket.SOCK_DGRAM, 0) as sender:
        if probe.source is None:
            sender.bind(("", 0))
        port = sender.getsockname()[1]
        sender.setblocking(False)
        for number in range(1, probe.count + 1):
            sent.ports[number] = port
            _send_one(sender, probe, sent, number, payload(sent, number, _length(probe)))
            time.sleep(probe.interval)
        _receive_answers(probe, sent, sender)


def _receive_answers(probe: Probe, sent: Sent, sender: socket.socket) -> None:
    until = time.monotonic() + probe.wait
    while len(sent.answered | sent.errors.keys()) < probe.count and (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([sender], [], [], left)
        if not ready:
            return
        try:
            sender.recv(65535)
        except OSError as error:
            open_ones = sent.times.keys() - sent.errors.keys()
            sent.errors[min(open_ones)] = error
        else:
            sent.answered.add(min(sent.times.keys() - sent.answered))


def _connect(probe: Probe, sent: Sent) -> None:
    opened: dict[int, socket.socket] = {}
    try:
        for number in range(1, probe.count + 1):
            one = opened[number] = _open(probe, socket.SOCK_STREAM, 0)
            one.setblocking(False)
            if probe.source is None:
                one.bind(("", 0))
            sent.ports[number] = one.getsockname()[1]
            sent.times[number] = time.time()
            try:
                one.connect((str(probe.destination), probe.port))
            except BlockingIOError:
                pass
            except OSError as error:
                sent.errors[number] = error
            time.sleep(probe.interval)
        until = time.monotonic() + probe.wait
        while (waiting := opened.keys() - sent.errors.keys() - sent.answered) and time.monotonic() < until:
            left = until - time.monotonic()
            _, ready, _ = select.select([], [opened[number] for number in waiting], [], max(0.0, left))
            for number in [n for n in waiting if opened[n] in ready]:
                failure = opened[number].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failure:
                    sent.errors[number] = OSError(failure, os.strerror(failure))
                else:
                    sent.answered.add(number)
    finally:
        for one in opened.values():
            one.close()


def _send_syns(probe: Probe, sent: Sent) -> None:
    """Send a SYN by a raw socket: the kernel itself resets the connection when it is answered (raw(7))."""
    with _open(probe, socket.SOCK_RAW, socket.IPPROTO_TCP) as sender:
        if probe.destination.version == 6:
            sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, _TCP_CHECKSUM)
        for number in range(1, probe.count + 1):
            port, start = struct.unpack("!HI", os.urandom(6))
            sent.ports[number] = port | _HIGH_PORTS
            sent.times[number] = time.time()
            try:
                sender.connect((str(probe.destination), 0))
                ends = ip_address(sender.getsockname()[0]).packed + probe.destination.packed
                sender.send(_syn(ends, sent.ports[number], probe.port, start))
            except OSError as error:
                sent.errors[number] = error
            time.sleep(probe.interval)
    time.sleep(probe.wait)


def _syn(ends: bytes, source: int, destination: int, start: int) -> bytes:
    """Return a TCP header that opens a connection, with the checksum of RFC 9293 for IPv4 addresses."""
    header = struct.pack("!HHIIBBHHH", source, destination, start, 0, 5 << 4, SYN, 64240, 0, 0)
    data = ends + struct.pack("!HH", TCP, len(header)) + header
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return header[:_TCP_CHECKSUM] + struct.pack("!H", ~total & 0xFFFF) + header[_TCP_CHECKSUM + 2 :]


def _send_one(sender: socket.socket, probe: Probe, sent: Sent, number: int, data: bytes) -> None:
    sent.times[number] = time.time()
    try:
        sender.sendto(data, (str(probe.destination), probe.port))
    except OSError as error:
        sent.errors[number] = error
