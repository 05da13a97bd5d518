"""Count the routes that a node's kernel adds and removes, in tables too large for `FibWatch`.

`FibWatch` stores every route, and spends some 50 µs of processor time on each. `RouteCount` reads the first bytes of
each notification (rtnetlink(7)) and counts.
"""

import errno
import select
import socket
import struct
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from lab.core.buffers import enlarge_receive_buffer
from lab.engine import Namespace
from lab.topology import Family

_GROUPS: Final = {"ipv4": 0x40, "ipv6": 0x400}
_AF: Final = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_BUFFER: Final = 768 << 20
"""Bytes of the receive buffer: a million notifications."""
_HEAD: Final = 28
"""Bytes of nlmsghdr and rtmsg; the rest of a notification is not read."""
_MAIN_TABLE, _UNICAST = 254, 1
_NEW, _GONE, _GET = 24, 25, 26
_REPLACE: Final = 0x1
"""NLM_F_REPLACE, in the second byte of the flags: a replaced route is not counted as added."""
_DONE, _ERROR = 3, 2
_DUMP_REQUEST: Final = 0x301
_BURST: Final = 64
"""After more notifications than this in one read the reader sleeps, to leave the processor to the daemons."""
_PAUSE: Final = 0.005


@dataclass(frozen=True)
class Counted:
    """Routes added and removed. Times are seconds on CLOCK_MONOTONIC; None without a notification."""

    added: int = 0
    removed: int = 0
    first: float | None = None
    last: float | None = None
    error: float = _PAUSE
    """Seconds by which a time may be late."""
    lost: bool = False
    """The kernel dropped notifications: the numbers are from a dump of the table, and `last` is its time."""


class RouteCount:
    """Counts routes from its creation on; a context manager. Until `follow` the kernel queues all notifications."""

    def __init__(self, namespace: Namespace, family: Family, protocol: int) -> None:
        self._namespace = namespace
        self._family: Family = family
        self._protocol = protocol
        self._socket = namespace.run(self._subscribe)
        self._before = count_routes(namespace, family, protocol)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def follow(self, *, added: int = 0, removed: int = 0, stalled: float) -> Counted:
        """Count until `added` and `removed` routes are seen, or until no route changes for `stalled` seconds."""
        plus = minus = 0
        first = last = None
        waiting = time.monotonic()
        while plus < added or minus < removed:
            if not select.select([self._socket], [], [], max(0.0, waiting + stalled - time.monotonic()))[0]:
                break
            began = time.monotonic()
            try:
                new, gone, read = self._drain()
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                return self._count_in_table(first or began, added, removed, stalled)
            now = time.monotonic()
            if new or gone:
                plus, minus, waiting = plus + new, minus + gone, now
                first, last = first or began, now
            if read > _BURST:
                time.sleep(_PAUSE)
        return Counted(plus, minus, first, last)

    def _drain(self) -> tuple[int, int, int]:
        """Read all queued notifications; returns routes added, routes removed, and the number of notifications."""
        new = gone = read = 0
        head = bytearray(_HEAD)
        receive, protocol = self._socket.recv_into, self._protocol
        try:
            while True:
                receive(head)
                read += 1
                if head[21] == protocol and head[20] == _MAIN_TABLE and head[23] == _UNICAST:
                    if head[4] == _GONE:
                        gone += 1
                    elif head[4] == _NEW and not head[7] & _REPLACE:
                        new += 1
        except BlockingIOError:
            return new, gone, read

    def _count_in_table(self, first: float, added: int, removed: int, stalled: float) -> Counted:
        """Dump the table, as notifications were lost, until it has the expected size or no longer changes."""
        expected = self._before + added - removed
        count, changed = -1, time.monotonic()
        while True:
            seen, now = count_routes(self._namespace, self._family, self._protocol), time.monotonic()
            if seen != count:
                count, changed = seen, now
            if count == expected or now - changed > stalled:
                more = count - self._before
                return Counted(max(0, more), max(0, -more), first, changed, error=2 * _PAUSE + 1.0, lost=True)
            time.sleep(0.2)

    def _subscribe(self) -> socket.socket:
        events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        enlarge_receive_buffer(events, _BUFFER)
        events.bind((0, _GROUPS[self._family]))
        events.setblocking(False)
        return events


def count_routes(namespace: Namespace, family: Family, protocol: int) -> int:
    """Count the unicast routes of a protocol in a dump of the main table."""

    def work() -> int:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
            netlink.bind((0, 0))
            body = struct.pack("=BBBBBBBBI", _AF[family], 0, 0, 0, 0, 0, 0, 0, 0)
            netlink.send(struct.pack("=IHHII", 16 + len(body), _GET, _DUMP_REQUEST, 1, 0) + body)
            count = 0
            while True:
                more, done = count_in_dump(netlink.recv(1 << 20), protocol)
                count += more
                if done:
                    return count

    return namespace.run(work)


def count_in_dump(dump: bytes, protocol: int) -> tuple[int, bool]:
    """Count the routes in one part of a dump, and return whether it is the last; raises `OSError` if it is an error."""
    count = at = 0
    while at < len(dump):
        length, kind = struct.unpack_from("=IH", dump, at)
        if kind == _DONE:
            return count, True
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", dump, at + 16)
            raise OSError(-code, "the kernel refused a dump of its routes")
        if dump[at + 21] == protocol and dump[at + 20] == _MAIN_TABLE and dump[at + 23] == _UNICAST:
            count += 1
        at += (length + 3) & ~3
    return count, False
