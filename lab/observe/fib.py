"""The kernel's FIB of a node, kept by route events (rtnetlink(7)) and never by polling.

The socket is opened in the node's namespace before the table is read, so no change can fall between the two. The
kernel says nothing of the IPv4 routes that go with an interface, its carrier or an address, so after such an event
the table is read again. Netlink carries no time: an event has the time at which it was read, and reading goes before
parsing.
"""

import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from lab.core.errors import EnvironmentBroken
from lab.engine.namespace import Namespace
from lab.observe.route_protocols import read_route_protocols
from lab.observe.rtnetlink import MAIN_TABLE, UNICAST, LinkMessage, Message, RouteMessage, messages
from lab.topology import Address, Family, Prefix

_RTMGRP_LINK = 0x1
_RTMGRP_IPV4_IFADDR = 0x10
_RTMGRP_IPV4_ROUTE = 0x40
_RTMGRP_IPV6_ROUTE = 0x400
_RTM_GETROUTE = 26
_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_DUMPS = 3
"""Times that a table is read which changes meanwhile; the events tell the rest."""
_HEADER = struct.Struct("=IHHII")
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER = 64 << 20
"""Bytes: a burst of a hundred thousand route events is held by the kernel rather than lost."""
_CHUNK = 1 << 18
_AT_ONCE = 4096
"""Reads before what was read is parsed."""
_EVENTS_KEPT = 100_000


@dataclass(frozen=True)
class FibEntry:
    """A unicast route of the main table."""

    prefix: Prefix
    next_hops: tuple[Address, ...]
    """Empty for a route that is on link."""
    interfaces: tuple[str, ...]
    protocol: str
    """Who set it: `bgp`, `kernel`, `static`, … or a number."""
    metric: int
    by_object: bool = False
    """Its next hop is an object of its own (ip-nexthop(8)), as FRR's are; BIRD's are not."""


@dataclass(frozen=True)
class RouteEvent:
    """One notification of the kernel."""

    time: float
    """Seconds on CLOCK_MONOTONIC, when the notification was read."""
    action: Literal["add", "delete"]
    entry: FibEntry


class Fib:
    """A FIB as it follows from the kernel's messages."""

    def __init__(self, interface_name: Callable[[int], str], protocol_name: Callable[[int], str] = str) -> None:
        """Start with no routes; the two functions name an interface by its index and a protocol by its number."""
        self._interface_name = interface_name
        self._protocol_name = protocol_name
        self.routes: dict[Prefix, dict[int, FibEntry]] = {}
        """By prefix and metric."""

    def used(self, prefix: Prefix) -> FibEntry | None:
        """The route to exactly this prefix; of several the one with the lowest metric."""
        found = self.routes.get(prefix)
        return found[min(found)] if found else None

    def entries(self) -> Iterator[FibEntry]:
        """All routes."""
        return chain.from_iterable(by_metric.values() for by_metric in self.routes.values())

    def without(self, interface: str, *, objects_only: bool = False) -> None:
        """Forget the IPv4 routes through an interface: the kernel takes them along with it, and says nothing.

        With the carrier alone go the next hops that are objects, and the routes that have one.
        """
        for entry in list(self.entries()):
            gone = entry.by_object or not objects_only
            if gone and entry.prefix.version == 4 and set(entry.interfaces) == {interface}:
                self._remove(entry.prefix, entry.metric)

    def apply(self, message: RouteMessage, when: float) -> RouteEvent | None:
        """Take in a change; returns the event that it is, or None where the main table stays as it was."""
        if message.table != MAIN_TABLE:
            return None
        entry = self.entry(message)
        before = after = self.routes.get(entry.prefix, {}).get(entry.metric)
        if message.new:  # a blackhole takes the place of a route, and is none
            after = entry if message.kind == UNICAST else None
        elif message.kind == UNICAST:
            after = _without(before, entry)
        if after is not None:
            self.routes.setdefault(entry.prefix, {})[entry.metric] = after
            return RouteEvent(when, "add", after) if after != before or message.new else None
        if before is None:
            return None
        self._remove(entry.prefix, entry.metric)
        return RouteEvent(when, "delete", before)

    def replace(self, read: Iterable[Message], when: float) -> list[RouteEvent]:
        """Take a whole table in the place of what was known; returns what that changes."""
        before = {(entry.prefix, entry.metric): entry for entry in self.entries()}
        after = {
            (entry.prefix, entry.metric): entry
            for message in read
            if isinstance(message, RouteMessage) and message.table == MAIN_TABLE and message.kind == UNICAST
            for entry in (self.entry(message),)
        }
        self.routes = {}
        for (prefix, metric), entry in after.items():
            self.routes.setdefault(prefix, {})[metric] = entry
        return [
            *(RouteEvent(when, "delete", entry) for key, entry in before.items() if key not in after),
            *(RouteEvent(when, "add", entry) for key, entry in after.items() if before.get(key) != entry),
        ]

    def entry(self, message: RouteMessage) -> FibEntry:
        """A message's route."""
        return FibEntry(
            prefix=message.prefix,
            next_hops=tuple(gateway for gateway, _ in message.hops if gateway is not None),
            interfaces=tuple(self._interface_name(index) for _, index in message.hops if index),
            protocol=self._protocol_name(message.protocol),
            metric=message.metric,
            by_object=message.by_object,
        )

    def _remove(self, prefix: Prefix, metric: int) -> None:
        del self.routes[prefix][metric]
        if not self.routes[prefix]:
            del self.routes[prefix]


class FibWatch:
    """A live copy of a node's FIB, both families, and the events that made it. Close it, or use it as a context."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._names: dict[int, str] = {}
        self._protocols: dict[int, str] = {}
        self._fib = Fib(self.interface, self.protocol)
        self._events: deque[RouteEvent] = deque(maxlen=_EVENTS_KEPT)
        self._version = 0
        self._changed = threading.Condition()
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC)
        self._socket: socket.socket = namespace.run(subscribe)
        self._load(first=True)
        self._thread = threading.Thread(target=self._follow, name=f"fib-{namespace.pid}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching; the copy stays as it is."""
        if self._socket.fileno() >= 0:
            os.write(self._waker, b".")
            self._thread.join()
            self._socket.close()
            os.close(self._wake)
            os.close(self._waker)

    def routes(self, family: Family | None = None) -> Mapping[Prefix, FibEntry]:
        """The FIB as of now; of several routes to one prefix the one with the lowest metric, which is used."""
        versions = {"ipv4": (4,), "ipv6": (6,), None: (4, 6)}[family]
        with self._changed:
            found = self._fib.routes.items()
            return {prefix: by[min(by)] for prefix, by in found if prefix.version in versions}

    def route(self, prefix: Prefix) -> FibEntry | None:
        """The route to exactly this prefix."""
        with self._changed:
            return self._fib.used(prefix)

    def events(self, since: float = 0.0) -> list[RouteEvent]:
        """The events from a time on, oldest first."""
        with self._changed:
            return [event for event in self._events if event.time >= since]

    def copy(self) -> Fib:
        """The FIB as of now, for somebody who goes on from here by messages of his own."""
        with self._changed:
            fib = Fib(self.interface, self.protocol)
            fib.routes = {prefix: dict(by_metric) for prefix, by_metric in self._fib.routes.items()}
            return fib

    def waiter(self) -> Callable[[float], None]:
        """A function that blocks until there was a change since its last call, or since now, or the time is over.

        Take it before the first look at the routes: then no change falls between a look and a wait.
        """
        with self._changed:
            seen = self._version

        def wait(seconds: float) -> None:
            nonlocal seen
            with self._changed:
                self._changed.wait_for(lambda: self._version != seen, seconds)
                seen = self._version

        return wait

    def interface(self, index: int) -> str:
        """An interface's name by its index."""
        if index not in self._names:  # an interface that came later
            self._names.update(self._namespace.run(_names))
        return self._names.get(index, f"if{index}")

    def protocol(self, number: int) -> str:
        """Return the name of a route's protocol, or its number if the node has no name for it."""
        if number not in self._protocols:  # a daemon may have brought its name when it was started
            self._protocols.update(read_route_protocols(Path(f"/proc/{self._namespace.pid}/root")))
            self._protocols.setdefault(number, str(number))
        return self._protocols[number]

    def _load(self, *, first: bool = False) -> None:
        """Read the whole table: at first, and again where the kernel does not tell, or had to drop events."""
        names, table = self._namespace.run(lambda: (_names(), _dump()))
        now = time.monotonic()
        with self._changed:
            self._names.update(names)  # none is forgotten: routes go after their interface, and indexes are not reused
            events = self._fib.replace(messages(table), now)
            self._events.extend(() if first else events)
            self._version += 1
            self._changed.notify_all()

    def _follow(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket.fileno(), self._wake], [], [])
            if self._wake in ready:
                return
            read, complete = self._read()
            for data, when in read:
                complete = self._apply(data, when) and complete
            if not complete:
                try:
                    self._load()
                except EnvironmentBroken:  # the node is gone, and its routes with it
                    return

    def _read(self) -> tuple[list[tuple[bytes, float]], bool]:
        """All that the socket holds, each with its time; and False where the kernel had to drop events."""
        read: list[tuple[bytes, float]] = []
        try:
            while len(read) < _AT_ONCE:
                read.append((self._socket.recv(_CHUNK, socket.MSG_DONTWAIT), time.monotonic()))
        except BlockingIOError:
            return read, True
        except OSError:  # ENOBUFS
            return read, False
        return read, True

    def _apply(self, data: bytes, when: float) -> bool:
        """Apply the events of one read; False where routes may have gone without a word."""
        complete = True
        with self._changed:
            for message in messages(data):
                if isinstance(message, RouteMessage):
                    event = self._fib.apply(message, when)
                    if event is not None:
                        self._events.append(event)
                else:
                    told = isinstance(message, LinkMessage) and message.up and message.carrier
                    complete = complete and told
            self._version += 1
            self._changed.notify_all()
        return complete


def _without(entry: FibEntry | None, gone: FibEntry) -> FibEntry | None:
    """What is left of a route: IPv6 gives up the next hops of a multipath route one by one."""
    if entry is None or entry.prefix.version == 4 or len(entry.next_hops) != len(entry.interfaces):
        return None
    lost = set(zip(gone.next_hops, gone.interfaces, strict=False))
    left = [hop for hop in zip(entry.next_hops, entry.interfaces, strict=True) if hop not in lost]
    if not lost or not left:
        return None
    next_hops, interfaces = zip(*left, strict=True)
    return replace(entry, next_hops=next_hops, interfaces=interfaces)


def subscribe() -> socket.socket:
    """A socket that is told of all changes of routes, and of links and addresses, in the caller's namespace."""
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    events.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    events.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV4_ROUTE | _RTMGRP_IPV6_ROUTE))
    return events


def _names() -> dict[int, str]:
    return dict(socket.if_nameindex())


def _dump() -> bytes:
    """All routes of the caller's namespace, read again where they changed meanwhile."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as asker:
        return b"".join(_ask(asker, family) for family in (socket.AF_INET, socket.AF_INET6))


def _ask(asker: socket.socket, family: int) -> bytes:
    request = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)
    header = _HEADER.pack(_HEADER.size + len(request), _RTM_GETROUTE, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
    parts: list[bytes] = []
    for _ in range(_DUMPS):
        asker.send(header + request)
        parts, done, whole = [], False, True
        while not done:
            parts.append(asker.recv(_CHUNK))
            done, intact = _progress(parts[-1])
            whole = whole and intact
        if whole:
            break
    return b"".join(parts)


def _progress(data: bytes) -> tuple[bool, bool]:
    """Of a part of a dump: whether it is the last one, and whether the table stayed the same while it was read."""
    offset, intact = 0, True
    while offset + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, offset)
        intact = intact and not flags & _NLM_F_DUMP_INTR
        if kind == _NLMSG_ERROR:
            (number,) = struct.unpack_from("=i", data, offset + _HEADER.size)
            raise OSError(-number, os.strerror(-number))
        if kind == _NLMSG_DONE:
            return True, intact
        offset += (length + 3) & ~3
    return False, intact
