"""BGP UPDATEs received on an interface: captured in the node's namespace, with the kernel's timestamps."""

import ctypes
import socket
import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lab.core.buffers import enlarge_receive_buffer
from lab.measure.instrument.clock import Clock
from lab.measure.instrument.tape import INCOMING, Reading
from lab.routing.update import Update, decode, split
from lab.topology import Prefix

ERROR = 0.0001
"""Seconds from a packet's reception on the interface to the kernel's timestamp, apart from the clock's error."""

_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35
_SO_ATTACH_FILTER = 26
_BUFFER = 64 << 20
_TCP = 6
_SYN = 0x02
_HALF = 1 << 31
_HELD = 256
"""Number of segments kept while one is missing; above that, the capture is assumed to have lost it."""

# Classic BPF (socket(7), SO_ATTACH_FILTER): TCP from or to port 179. The socket is of type SOCK_DGRAM, so a packet
# begins with its IP header on any device. (code, jump if true, jump if false, operand)
_BGP_ONLY = (
    (0x30, 0, 0, 0),  # 0: the first byte
    (0x54, 0, 0, 0xF0),
    (0x15, 0, 9, 0x40),  # IPv4, or go to 12
    (0x30, 0, 0, 9),
    (0x15, 0, 14, _TCP),
    (0x28, 0, 0, 6),
    (0x45, 12, 0, 0x1FFF),  # a fragment that is not the first
    (0xB1, 0, 0, 0),  # 7: X is the header's length
    (0x48, 0, 0, 0),
    (0x15, 10, 0, 179),
    (0x48, 0, 0, 2),
    (0x15, 8, 7, 179),
    (0x15, 0, 6, 0x60),  # 12: IPv6
    (0x30, 0, 0, 6),
    (0x15, 0, 4, _TCP),
    (0x28, 0, 0, 40),
    (0x15, 3, 0, 179),
    (0x28, 0, 0, 42),
    (0x15, 1, 0, 179),
    (0x06, 0, 0, 0),  # 19: reject
    (0x06, 0, 0, 0x40000),  # 20: accept
)


@dataclass(frozen=True)
class Crossing:
    """An UPDATE that was received completely."""

    time: float
    """Seconds of CLOCK_MONOTONIC at which its last byte was received."""
    update: Update


def listen(interface: str) -> socket.socket:
    """Return a socket that captures BGP on an interface of the caller's namespace."""
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
    try:
        code = b"".join(struct.pack("=HBBI", *line) for line in _BGP_ONLY)
        program = ctypes.create_string_buffer(code, len(code))
        head = struct.pack("@HP", len(_BGP_ONLY), ctypes.addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
        listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        enlarge_receive_buffer(listener, _BUFFER)
        listener.bind((interface, _ETH_P_ALL))
    except OSError:
        listener.close()
        raise
    return listener


def crossings(readings: Sequence[Reading], prefixes: Collection[Prefix], clock: Clock) -> list[Crossing]:
    """Return the received UPDATEs that contain one of the prefixes, in order of time."""
    flows: dict[tuple[bytes, bytes], _Flow] = {}
    found = []
    for reading in readings:
        segment = _segment(reading.data) if reading.direction == INCOMING else None
        if segment is None:
            continue
        flow = flows.setdefault((segment.ends, segment.ports), _Flow())
        when = clock.monotonic(reading.stamped) if reading.stamped else reading.read / 1e9
        for message in flow.take(segment):
            update = decode(message, prefixes)
            if update is not None:
                found.append(Crossing(when, update))
    return sorted(found, key=lambda crossing: crossing.time)


class _Segment(NamedTuple):
    ends: bytes
    ports: bytes
    number: int
    syn: bool
    payload: bytes


@dataclass
class _Flow:
    """One direction of a TCP connection, reassembled (RFC 9293, section 3.4)."""

    next: int | None = None
    rest: bytes = b""
    held: dict[int, bytes] = field(default_factory=dict)

    def take(self, segment: _Segment) -> list[bytes]:
        """Add a segment, and return the messages that it completes."""
        if segment.syn:
            self.next, self.rest = (segment.number + 1) % (1 << 32), b""
            self.held.clear()
            return []
        if not segment.payload:
            return []
        if self.next is None:
            self.next = segment.number
        self.held[segment.number] = segment.payload
        if len(self.held) > _HELD:
            self.next, self.rest = min(self.held, key=self._ahead), b""
        for payload in self._in_order():
            self.rest += payload
        whole, self.rest = split(self.rest)
        return whole

    def _in_order(self) -> Iterator[bytes]:
        while True:
            ready = [number for number in self.held if self._ahead(number) <= 0]
            if not ready:
                return
            for number in ready:
                payload = self.held.pop(number)
                new = payload[-self._ahead(number) :] if -self._ahead(number) < len(payload) else b""
                if new:
                    assert self.next is not None
                    self.next = (self.next + len(new)) % (1 << 32)
                    yield new

    def _ahead(self, number: int) -> int:
        """Return how far a sequence number is ahead of the expected one, modulo 2^32."""
        assert self.next is not None
        return (number - self.next + _HALF) % (1 << 32) - _HALF


def _segment(packet: bytes) -> _Segment | None:
    if len(packet) < 20:
        return None
    if packet[0] >> 4 == 4:
        start, end = (packet[0] & 0xF) * 4, int.from_bytes(packet[2:4], "big")
        ends = packet[12:20]
    else:
        start, end = 40, 40 + int.from_bytes(packet[4:6], "big")
        ends = packet[8:40]
    tcp = packet[start : end if end > start else len(packet)]  # a length of 0 means more than fits into the field
    if len(tcp) < 20:
        return None
    offset, flags = (tcp[12] >> 4) * 4, tcp[13]
    return _Segment(ends, tcp[:4], int.from_bytes(tcp[4:8], "big"), bool(flags & _SYN), tcp[offset:])
