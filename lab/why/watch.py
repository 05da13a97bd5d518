"""All packets of a lab for a moment: a packet socket in every node, on all its interfaces."""

import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lab.core.errors import LabError
from lab.engine.node import RunningNode
from lab.observe import Capture, CapturedPacket
from lab.why.packet import Packet

_LOOPBACK = "lo"
_SO_TIMESTAMPNS = 35
_DELAY = 0.002
"""Seconds between sending and reading a datagram, from which it is seen when its time was taken."""
_STAMPS_WITHIN = 1.0


@dataclass(frozen=True)
class Captured:
    """A packet on an interface of a node."""

    node: str
    raw: CapturedPacket
    packet: Packet

    @property
    def interface(self) -> str:
        """The interface that sent or received it."""
        return self.raw.interface

    @property
    def time(self) -> float:
        """Seconds since the epoch, by the kernel."""
        return self.raw.time

    @property
    def outgoing(self) -> bool:
        """True if the node sent it."""
        return self.raw.outgoing

    @property
    def where(self) -> str:
        """The place, as in `out of tun0`."""
        return f"{'out of' if self.outgoing else 'into'} {self.interface}"


class Watch:
    """Captures in all nodes from its creation to `stop`; loopback interfaces are left out."""

    def __init__(self, nodes: Mapping[str, RunningNode]) -> None:
        self._captures: list[Capture] = []
        try:
            for name, node in nodes.items():
                with suppress(LabError):  # it has just ended
                    self._captures.append(Capture(node.namespace, None, node=name))
            _wait_for_stamps()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def captured(self) -> list[Captured]:
        """Return the IP packets so far in the order of time."""
        found = []
        for capture in self._captures:
            for raw in capture.packets:
                packet = Packet.parse(raw.ip) if raw.interface != _LOOPBACK else None
                if packet is not None:
                    found.append(Captured(capture.node, raw, packet))
        return sorted(found, key=lambda captured: captured.time)

    def stop(self) -> list[Captured]:
        """Stop all captures and return their IP packets in the order of time."""
        for capture in self._captures:
            capture.stop()
        return self.captured()


def _wait_for_stamps() -> None:
    """Wait until the kernel takes the time of packets as they pass.

    It begins to a moment after the first socket wants it; until then the time is that of reading, and hops would be out
    of order.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as loop:
        loop.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        loop.bind(("127.0.0.1", 0))
        until = time.monotonic() + _STAMPS_WITHIN
        while time.monotonic() < until:
            loop.sendto(b"", loop.getsockname())
            sent = time.time()
            time.sleep(_DELAY)
            _, ancillary, *_ = loop.recvmsg(1, 64)
            if any(_seconds(value) <= sent for _, kind, value in ancillary if kind == _SO_TIMESTAMPNS):
                return


def _seconds(value: bytes) -> float:
    seconds, nanoseconds = struct.unpack("qq", value[:16])
    return float(seconds + nanoseconds / 1e9)
