"""The recording of sockets, as data; `recorder.py` is the process that reads them."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

from lab.measure.instrument import recorder
from lab.measure.instrument.child import Child

READING_ERROR = 0.0002
"""Seconds between the arrival of data and its time of reading on an idle host."""
_AROUND = 0.02
"""Seconds before and after a reading in which the recorder's lateness counts as its error."""
_CHUNK = 16 << 20
_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8


class Reading(NamedTuple):
    """One message that was read."""

    read: int
    """Time of reading, in ns of CLOCK_MONOTONIC."""
    stamped: int
    """The kernel's timestamp, in ns of CLOCK_REALTIME; 0 if there is none."""
    direction: int
    """`INCOMING` or `OUTGOING` for packets, 0 for other data."""
    data: bytes


INCOMING, OUTGOING = 1, 5
"""PACKET_HOST and PACKET_OUTGOING of packet(7), each plus one."""


@dataclass(frozen=True)
class Recorded:
    """All data that was read; lists are indexed like the sockets."""

    readings: list[list[Reading]]
    lost: list[bool]
    """True for a socket whose receive buffer overflowed."""
    ended: list[bool]
    """True for a stream that has ended."""
    beats: list[tuple[int, int]]
    """Times at which the recorder was late, and by how many ns."""

    def error(self, at: float) -> float:
        """Return the error in seconds of a time of reading: data may have arrived that much earlier."""
        low, high = (at - _AROUND) * 1e9, (at + _AROUND) * 1e9
        return READING_ERROR + max((late for when, late in self.beats if low <= when <= high), default=0) / 1e9


class Tape:
    """Records sockets from its creation until `stop`. The caller closes the sockets."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        for each in sockets:
            each.setblocking(False)
        self._sockets = sockets
        self._file = os.memfd_create("tape", os.MFD_CLOEXEC)
        fds = [each.fileno() for each in sockets]
        self._child = Child(recorder.__name__, [self._file], fds)
        self._drops = [_drops(each) for each in sockets]
        self._at = 0
        none = [False] * len(sockets)
        self._recorded = Recorded([[] for _ in sockets], none[:], none[:], [])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process ID of the recorder."""
        return self._child.pid

    def wait_ready(self) -> None:
        """Wait until the recorder reads, so that data gets its time on arrival."""
        self._child.wait_ready()

    def read(self) -> Recorded:
        """Read the data recorded since the last call, and return all data."""
        size = os.fstat(self._file).st_size
        while self._at < size:
            part = os.pread(self._file, min(_CHUNK, size - self._at), self._at)
            used = self._parse(part)
            if used == 0:  # the last record is being written
                break
            self._at += used
        return self._recorded

    def stop(self) -> Recorded:
        """Record the data left in the sockets, end the process, and return all data."""
        self._child.stop()
        recorded = self.read()
        for place, (each, before) in enumerate(zip(self._sockets, self._drops, strict=True)):
            recorded.lost[place] = recorded.lost[place] or _drops(each) != before
        return recorded

    def close(self) -> None:
        """End the process and discard its data."""
        self._child.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _parse(self, content: bytes) -> int:
        """Add the complete records at the beginning to the data; return their length in bytes."""
        recorded, offset, head = self._recorded, 0, recorder.RECORD
        while offset + head.size <= len(content):
            place, kind, flags, length, read, stamped = head.unpack_from(content, offset)
            start = offset + head.size
            if start + length > len(content):
                break
            if kind == recorder.DATA:
                recorded.readings[place].append(Reading(read, stamped, flags, content[start : start + length]))
            elif kind == recorder.LOST:
                recorded.lost[place] = True
            elif kind == recorder.END:
                recorded.ended[place] = True
            else:
                recorded.beats.append((read, stamped))
            offset = start + length
        return offset


def _drops(each: socket.socket) -> int:
    """Return the number of messages that the kernel dropped at a socket (SO_MEMINFO)."""
    if each.type == socket.SOCK_STREAM:
        return 0
    data = each.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_SK_MEMINFO_DROPS + 1))
    return int.from_bytes(data[4 * _SK_MEMINFO_DROPS :], "little")
