"""The process that records sockets during a measurement: it reads them, and records when.

    main([TAPE, STOP, FD…])

Started by `lab.measure.instrument.tape`, which passes it open sockets. It runs at real-time priority if permitted,
because netlink and TCP carry no timestamps: their data gets the time at which it was read. Data with a timestamp of
the kernel (SO_TIMESTAMPNS) keeps that as well. Every few milliseconds the process wakes up and records how late it
was: that is the error of times read around then.

The data goes to TAPE, a file in memory, one record after another (`RECORD`, then the data).
"""

import ctypes
import os
import select
import socket
import struct
import time

from lab.measure.instrument.process import RECORDER, Iovec, Message, set_priority

RECORD = struct.Struct("=BBHIqq")
"""Socket (index among the arguments), kind, flags, length of the data, time read, kernel's time or 0 (ns)."""
DATA, END, LOST, BEAT = 0, 1, 2, 3
"""Kinds of records: data; end of a stream; data dropped by the kernel; a late wake-up, its ns in the last field."""

BEAT_EVERY = 0.005
"""Seconds between two wake-ups."""
LATE = 200e-6
"""Seconds of lateness above which it is recorded."""

_BATCH = 64
_SIZE = 1 << 16
_CONTROL = 128
_NAME = 32
_AF_PACKET = 17
_SO_TIMESTAMPNS = 35
_MSG_DONTWAIT = 0x40
_ENOBUFS = 105
_EAGAIN = 11
_CONTROL_HEADER = struct.Struct("=Qii")


class Recorder:
    """Reads sockets and writes records of their data."""

    def __init__(self, tape: int, stop: int, sockets: list[int]) -> None:
        self._tape, self._stop = tape, stop
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._data = ctypes.create_string_buffer(_BATCH * _SIZE)
        self._control = ctypes.create_string_buffer(_BATCH * _CONTROL)
        self._names = ctypes.create_string_buffer(_BATCH * _NAME)
        self._iovecs = (Iovec * _BATCH)()
        self._messages = (Message * _BATCH)()
        for i in range(_BATCH):
            self._iovecs[i].base = ctypes.addressof(self._data) + i * _SIZE
            self._iovecs[i].length = _SIZE
            self._messages[i].iov = ctypes.addressof(self._iovecs[i])
            self._messages[i].iovlen = 1
            self._messages[i].name = ctypes.addressof(self._names) + i * _NAME
            self._messages[i].control = ctypes.addressof(self._control) + i * _CONTROL
        self._view = memoryview(self._data)
        self._streams = {fd for fd in sockets if self._is_stream(fd)}
        self._place = {fd: place for place, fd in enumerate(sockets)}

    def run(self) -> None:
        """Read until the other end of STOP is closed, then read the remaining data of the sockets."""
        waiting = list(self._place)
        beat = time.monotonic() + BEAT_EVERY
        while True:
            ready, _, _ = select.select([*waiting, self._stop], [], [], max(0.0, beat - time.monotonic()))
            now = time.monotonic()
            if now >= beat:
                if now - beat > LATE:
                    late = int((now - beat) * 1e9)
                    os.write(self._tape, RECORD.pack(0, BEAT, 0, 0, time.monotonic_ns(), late))
                beat = now + BEAT_EVERY
            for fd in ready:
                if fd == self._stop:
                    for each in waiting:
                        while self._read(each) == _BATCH:
                            pass
                    return
                if self._read(fd) < 0:
                    waiting.remove(fd)

    def _read(self, fd: int) -> int:
        """Read once; return the number of messages, or -1 at the end of a stream."""
        if fd in self._streams:
            return self._read_stream(fd)
        for i in range(_BATCH):
            self._messages[i].namelen = _NAME
            self._messages[i].controllen = _CONTROL
        count: int = self._libc.recvmmsg(fd, self._messages, _BATCH, _MSG_DONTWAIT, None)
        now = time.monotonic_ns()
        if count < 0:
            number = ctypes.get_errno()
            if number == _ENOBUFS:
                self._write(self._place[fd], LOST, 0, b"", now)
            return 0 if number in (_ENOBUFS, _EAGAIN) else self._ended(fd, now)
        parts: list[bytes | memoryview] = []
        place = self._place[fd]
        for i in range(count):
            message = self._messages[i]
            start, length = i * _SIZE, min(message.length, _SIZE)
            parts.append(RECORD.pack(place, DATA, self._direction(i), length, now, self._stamp(i, message.controllen)))
            parts.append(self._view[start : start + length])
        os.write(self._tape, b"".join(parts))
        return count

    def _read_stream(self, fd: int) -> int:
        try:
            data = os.read(fd, _SIZE)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        now = time.monotonic_ns()
        if not data:
            return self._ended(fd, now)
        self._write(self._place[fd], DATA, 0, data, now)
        return 1

    def _ended(self, fd: int, now: int) -> int:
        self._write(self._place[fd], END, 0, b"", now)
        return -1

    def _write(self, place: int, kind: int, flags: int, data: bytes, now: int) -> None:
        os.write(self._tape, RECORD.pack(place, kind, flags, len(data), now, 0) + data)

    def _stamp(self, i: int, length: int) -> int:
        """Return the kernel's timestamp of a message; 0 if there is none."""
        start, end = i * _CONTROL, i * _CONTROL + length
        while start + _CONTROL_HEADER.size <= end:
            size, level, kind = _CONTROL_HEADER.unpack_from(self._control, start)
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack_from("=qq", self._control, start + _CONTROL_HEADER.size)
                return int(seconds * 1_000_000_000 + nanoseconds)
            if size < _CONTROL_HEADER.size:
                break
            start += (size + 7) & ~7
        return 0

    def _direction(self, i: int) -> int:
        """Return sll_pkttype plus one for a message of a packet socket, else 0."""
        family, kind = struct.unpack_from("=H8xB", self._names, i * _NAME)
        return kind + 1 if family == _AF_PACKET else 0

    @staticmethod
    def _is_stream(fd: int) -> bool:
        with socket.socket(fileno=os.dup(fd)) as copy:
            return copy.type == socket.SOCK_STREAM


def main(arguments: list[str]) -> None:
    """Run the recorder, see the module's documentation."""
    tape, stop, *sockets = map(int, arguments)
    set_priority(RECORDER)
    recorder = Recorder(tape, stop, sockets)
    os.write(stop, b"!")  # ready
    recorder.run()
