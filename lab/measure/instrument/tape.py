"""What the recorder read from sockets, as data; `recorder.py` is the process that reads."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

from lab.measure.instrument import recorder
from lab.measure.instrument.child import Child

READING_ERROR = 0.0002
"""Seconds between the arrival of something and its time of reading on a machine with nothing else to do."""
_AROUND = 0.02
"""Seconds before and after a reading in which the recorder's lateness tells of its error."""
_CHUNK = 16 << 20
_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8


class Reading(NamedTuple):
    """Something that was read."""

    read: int
    """ns of CLOCK_MONOTONIC."""
    stamped: int
    """ns of CLOCK_REALTIME, by the kernel; 0 where it does not stamp."""
    direction: int
    """Of packets: `INCOMING` or `OUTGOING`; 0 for what is no packet."""
    data: bytes


INCOMING, OUTGOING = 1, 5
"""PACKET_HOST and PACKET_OUTGOING of packet(7), plus one."""


@dataclass(frozen=True)
class Recorded:
    """All that was read, by the places of the sockets."""

    readings: list[list[Reading]]
    lost: list[bool]
    """Whether a socket had more than the kernel could keep."""
    ended: list[bool]
    """Whether a stream's other end was closed."""
    beats: list[tuple[int, int]]
    """When the recorder was late, and by how many ns."""

    def error(self, at: float) -> float:
        """How many seconds what was read at a time (s, CLOCK_MONOTONIC) can have been there before."""
        low, high = (at - _AROUND) * 1e9, (at + _AROUND) * 1e9
        return READING_ERROR + max((late for when, late in self.beats if low <= when <= high), default=0) / 1e9


class Tape:
    """Records from its creation until `stop`. The sockets stay the caller's."""

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
        """The recording process."""
        return self._child.pid

    def wait_ready(self) -> None:
        """Return when everything that arrives from now on is stamped as it comes."""
        self._child.wait_ready()

    def more(self) -> Recorded:
        """Everything that was read so far; each call goes on where the one before ended."""
        size = os.fstat(self._file).st_size
        while self._at < size:
            part = os.pread(self._file, min(_CHUNK, size - self._at), self._at)
            used = self._take(part)
            if used == 0:  # it is being written
                break
            self._at += used
        return self._recorded

    def stop(self) -> Recorded:
        """Take in what the kernel still holds, end, and return everything."""
        self._child.stop()
        recorded = self.more()
        for place, (each, before) in enumerate(zip(self._sockets, self._drops, strict=True)):
            recorded.lost[place] = recorded.lost[place] or _drops(each) != before
        return recorded

    def close(self) -> None:
        """End the process and forget what it read."""
        self._child.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take(self, content: bytes) -> int:
        """Take in the whole records at the beginning; returns how many bytes they have."""
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
    """How many messages the kernel could not keep for a socket (SO_MEMINFO)."""
    if each.type == socket.SOCK_STREAM:
        return 0
    data = each.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_SK_MEMINFO_DROPS + 1))
    return int.from_bytes(data[4 * _SK_MEMINFO_DROPS :], "little")
