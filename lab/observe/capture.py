"""Packets on one or all interfaces of a node, seen by a packet socket in its namespace (packet(7))."""

import os
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from lab.core.buffers import enlarge_receive_buffer
from lab.core.errors import InputError
from lab.core.expect import Expectation, wait_for
from lab.engine.namespace import Namespace

_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35
_RECEIVE_BUFFER = 16 << 20
_ARPHRD_ETHER = 1
_ARPHRD_LOOPBACK = 772
_OTHER_HOST, _OUTGOING = 3, 4
_LINKTYPE_ETHERNET = 1
_LINKTYPE_RAW = 101
_ETHERNET, _VLAN_TAG = 14, 4
"""Bytes of an Ethernet header, and of a VLAN tag in it."""
_VLAN = b"\x81\x00"
_IP = (b"\x08\x00", b"\x86\xdd")
_MAX_PACKETS = 200_000
"""The most packets that a capture keeps; the oldest are dropped."""


@dataclass(frozen=True)
class CapturedPacket:
    """A packet as the kernel delivered it."""

    time: float
    """Seconds since the epoch, from the kernel."""
    outgoing: bool
    """True if the node sent it."""
    data: bytes
    linktype: int
    """The link type in pcap files: Ethernet, or IP as on a tun device."""
    interface: str = ""
    foreign: bool = False
    """True for a frame that arrived and is addressed to another host, as on a bridge's port."""

    @property
    def ip(self) -> bytes:
        """The packet from its IP header on; empty if it is not IP."""
        if self.linktype != _LINKTYPE_ETHERNET:
            return self.data
        start = _ETHERNET + (_VLAN_TAG if self.data[12:14] == _VLAN else 0)
        return self.data[start:] if self.data[start - 2 : start] in _IP else b""

    def decode(self) -> Any:
        """Return the packet as scapy's `Ether`, `IP` or `IPv6`."""
        from scapy.layers.inet import IP
        from scapy.layers.inet6 import IPv6
        from scapy.layers.l2 import Ether

        if self.linktype == _LINKTYPE_ETHERNET:
            return Ether(self.data)
        return IPv6(self.data) if self.data[:1] and self.data[0] >> 4 == 6 else IP(self.data)


class Capture:
    """Captures packets from its creation until `stop`; it has every packet sent after the constructor has returned."""

    def __init__(
        self,
        namespace: Namespace,
        interface: str | None,
        *,
        node: str = "?",
        keep: int = _MAX_PACKETS,
        sink: Callable[[CapturedPacket], None] | None = None,
    ) -> None:
        """Listen on `interface`, or on all interfaces if it is None; `node` is the name in messages.

        The last `keep` packets are kept, or none if `sink` receives each of them.
        """
        self.node = node
        self.interface = interface or "any interface"
        self._packets: deque[CapturedPacket] = deque(maxlen=keep)
        self._sink = sink or self._packets.append
        self._socket: socket.socket = namespace.run(lambda: _listen(interface))
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._receive, name=f"capture-{self.interface}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> list[CapturedPacket]:
        """Read the packets that the kernel has queued, stop, and return all packets."""
        if self._thread.is_alive():
            os.write(self._waker, b".")
            self._thread.join()
            self._socket.close()
            os.close(self._wake)
            os.close(self._waker)
        return self.packets

    def expect(self, what: str, match: Callable[[CapturedPacket], bool], *, within: float = 30.0) -> CapturedPacket:
        """Wait for a packet that `match` accepts, and return the first."""
        found = wait_for(
            Expectation(
                what=f"{what} on {self.interface}",
                node=self.node,
                look=lambda: [packet for packet in self.packets if match(packet)],
                met=bool,
                seen=lambda _: f"{len(self._packets)} other packets",
            ),
            within=within,
        )
        return found[0]

    @property
    def packets(self) -> list[CapturedPacket]:
        """The packets so far, oldest first."""
        return list(self._packets)

    def write(self, file: Path) -> None:
        """Write the packets so far as a pcap file."""
        with file.open("wb") as stream:
            write_pcap(stream, self.packets)

    def _receive(self) -> None:
        stopping = False
        while True:
            # After the wake-up the socket is drained without waiting, so that no packet sent before is missed.
            ready, _, _ = select.select([self._socket.fileno(), self._wake], [], [], 0 if stopping else None)
            stopping = stopping or self._wake in ready
            if self._socket.fileno() in ready:
                packet = self._next()
                if packet is not None:
                    self._sink(packet)
            elif stopping:
                return

    def _next(self) -> CapturedPacket | None:
        try:
            data, ancillary, _, address = self._socket.recvmsg(65535 + 64, 256)
        except OSError:  # ENETDOWN: the interface is down or removed; it may come back
            return None
        when = 0.0
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", value[:16])
                when = seconds + nanoseconds / 1e9
        interface, _, direction, hardware, *_ = address
        ethernet = hardware in (_ARPHRD_ETHER, _ARPHRD_LOOPBACK)
        linktype = _LINKTYPE_ETHERNET if ethernet else _LINKTYPE_RAW
        return CapturedPacket(when, direction == _OUTGOING, data, linktype, interface, direction == _OTHER_HOST)


def write_pcap(stream: BinaryIO, packets: list[CapturedPacket], *, header: bool = True) -> None:
    """Write packets in pcap's format, e.g. for Wireshark, with one `header` per stream."""
    from scapy.utils import RawPcapWriter

    linktype = packets[0].linktype if packets else _LINKTYPE_ETHERNET
    writer = RawPcapWriter(stream, linktype=linktype, sync=True, nano=True)
    writer.header_present = not header
    if header:
        writer.write_header(None)
    for packet in packets:
        seconds = int(packet.time)
        writer.write_packet(packet.data, sec=seconds, usec=int((packet.time - seconds) * 1e9))


def _listen(interface: str | None) -> socket.socket:
    # A socket with a protocol listens on all interfaces at once, as one without does only after bind(2).
    protocol = socket.htons(_ETH_P_ALL) if interface is None else 0
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        enlarge_receive_buffer(listener, _RECEIVE_BUFFER)
        if interface is not None:
            listener.bind((interface, _ETH_P_ALL))
    except OSError as error:
        listener.close()
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise InputError(f"cannot capture on interface {interface!r} ({error.strerror}): use one of {names}") from error
    return listener
