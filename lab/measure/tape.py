"""What the recorder read from sockets, as data; `recorder.py` is the process that reads."""

import os
import socket
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from lab.measure import recorder
from lab.measure.child import Child

READING_ERROR = 0.0002
"""Seconds between the arrival of something and its time of reading on a machine with nothing else to do."""
_AROUND = 0.02
"""Seconds before and after a reading in which the recorder's lateness tells of its error."""
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

    readings: Sequence[Sequence[Reading]]
    lost: Sequence[bool]
    """Whether a socket had more than the kernel could keep."""
    ended: Sequence[bool]
    """Whether a stream's other end was closed."""
    beats: Sequence[tuple[int, int]]
    """When the recorder was late, and by how many ns."""

    def error(self, at: float) -> float:
        """How many seconds what was read at a time (s, CLOCK_MONOTONIC) can have been there before."""
        low = bisect_left(self._times, int((at - _AROUND) * 1e9))
        high = bisect_right(self._times, int((at + _AROUND) * 1e9))
        return READING_ERROR + max((late for _, late in self.beats[low:high]), default=0) / 1e9

    @cached_property
    def _times(self) -> list[int]:
        return [when for when, _ in self.beats]


class Tape:
    """Records from its creation until `stop`. The sockets stay the caller's."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        for each in sockets:
            each.setblocking(False)
        self._sockets = sockets
        self._file = os.memfd_create("tape", os.MFD_CLOEXEC)
        fds = [each.fileno() for each in sockets]
        self._child = Child(Path(recorder.__file__), [self._file], fds)
        self._drops = [_drops(each) for each in sockets]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_ready(self) -> None:
        """Return when everything that arrives from now on is stamped as it comes."""
        self._child.wait_ready()

    def stop(self) -> Recorded:
        """Take in what the kernel still holds, end, and return everything."""
        self._child.close()
        recorded = _parse(self._content(), len(self._sockets))
        dropped = [_drops(each) != before for each, before in zip(self._sockets, self._drops, strict=True)]
        lost = [a or b for a, b in zip(recorded.lost, dropped, strict=True)]
        return Recorded(recorded.readings, lost, recorded.ended, recorded.beats)

    def close(self) -> None:
        """End the process and forget what it read."""
        self._child.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def peek(self) -> Recorded:
        """What was read so far."""
        return _parse(self._content(), len(self._sockets))

    def _content(self) -> bytes:
        size = os.fstat(self._file).st_size
        parts, offset = [], 0
        while offset < size:
            part = os.pread(self._file, size - offset, offset)
            parts.append(part)
            offset += len(part)
        return b"".join(parts)


def _parse(content: bytes, sockets: int) -> Recorded:
    readings: list[list[Reading]] = [[] for _ in range(sockets)]
    lost, ended = [False] * sockets, [False] * sockets
    beats: list[tuple[int, int]] = []
    offset, head = 0, recorder.RECORD
    while offset + head.size <= len(content):
        place, kind, flags, length, read, stamped = head.unpack_from(content, offset)
        offset += head.size
        if offset + length > len(content):  # it is being written
            break
        if kind == recorder.DATA:
            readings[place].append(Reading(read, stamped, flags, content[offset : offset + length]))
        elif kind == recorder.LOST:
            lost[place] = True
        elif kind == recorder.END:
            ended[place] = True
        else:
            beats.append((read, flags * 1000))
        offset += length
    return Recorded(readings, lost, ended, beats)


def _drops(each: socket.socket) -> int:
    """How many messages the kernel could not keep for a socket (SO_MEMINFO)."""
    if each.type == socket.SOCK_STREAM:
        return 0
    data = each.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_SK_MEMINFO_DROPS + 1))
    return int.from_bytes(data[4 * _SK_MEMINFO_DROPS :], "little")
