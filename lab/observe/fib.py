"""A copy of a node's FIB, updated by the kernel's route events (rtnetlink(7)) and never by polling.

The socket is opened in the node's namespace before the table is read, so that no change is missed between the two. The
kernel sends no event for IPv4 routes that it deletes with an interface, its carrier or an address, so the table is read
again after such a change. Netlink messages have no time: an event has the time at which it was read, and all queued
messages are read before they are parsed.
"""

import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from lab.core.buffers import enlarge_receive_buffer
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
_DUMP_ATTEMPTS = 3
"""How often the table is dumped while it changes during the dump; the events have the later changes."""
_HEADER = struct.Struct("=IHHII")
_RECEIVE_BUFFER = 64 << 20
"""Bytes: the kernel queues a burst of a hundred thousand route events without loss."""
_CHUNK = 1 << 18
_MAX_READS = 4096
"""The most reads before parsing."""
_MAX_EVENTS = 100_000


@dataclass(frozen=True)
class FibEntry:
    """A unicast route of the main table, or of a VRF's."""

    prefix: Prefix
    next_hops: tuple[Address, ...]
    """Empty for an on-link route."""
    interfaces: tuple[str, ...]
    protocol: str
    """The origin of the route: `bgp`, `kernel`, `static`, … or a number."""
    metric: int
    uses_next_hop_object: bool = False
    """The route refers to a next hop object (ip-nexthop(8)), which some daemons create."""
    table: int = MAIN_TABLE
    """The routing table."""


@dataclass(frozen=True)
class RouteEvent:
    """A change of one route."""

    time: float
    """Seconds on CLOCK_MONOTONIC, when the notification was read."""
    action: Literal["add", "delete"]
    entry: FibEntry


Rank = tuple[int, int]
"""The order of routes to one prefix: the place of their table, and the metric."""


class Fib:
    """A FIB, built from the kernel's messages."""

    def __init__(
        self,
        interface_name: Callable[[int], str],
        protocol_name: Callable[[int], str] = str,
        tables: Sequence[int] = (MAIN_TABLE,),
    ) -> None:
        """Start with no routes; the two functions name an interface by its index and a protocol by its number.

        `tables` are the routing tables to follow; of routes to one prefix those of the first table precede.
        """
        self._interface_name = interface_name
        self._protocol_name = protocol_name
        self._tables = {table: rank for rank, table in enumerate(tables)}
        self.routes: dict[Prefix, dict[Rank, FibEntry]] = {}
        """By prefix, and by the table's rank and the metric."""

    def used(self, prefix: Prefix) -> FibEntry | None:
        """Return the route to exactly this prefix; of several routes the one with the lowest metric."""
        found = self.routes.get(prefix)
        return found[min(found)] if found else None

    def entries(self) -> Iterator[FibEntry]:
        """Iterate over all routes."""
        return chain.from_iterable(by_metric.values() for by_metric in self.routes.values())

    def drop_interface(self, interface: str, *, objects_only: bool = False) -> None:
        """Drop the IPv4 routes through an interface, which the kernel deletes with it without an event.

        If only the carrier is lost, `objects_only`, the kernel deletes next hop objects and the routes that use them.
        """
        for entry in list(self.entries()):
            gone = entry.uses_next_hop_object or not objects_only
            if gone and entry.prefix.version == 4 and set(entry.interfaces) == {interface}:
                self._remove(entry)

    def apply(self, message: RouteMessage, when: float) -> RouteEvent | None:
        """Apply a change and return its event, or None if no table that it follows changes."""
        if message.table not in self._tables:
            return None
        entry = self.entry(message)
        before = after = self.routes.get(entry.prefix, {}).get(self._rank(entry))
        if message.new:  # a blackhole replaces a unicast route
            after = entry if message.kind == UNICAST else None
        elif message.kind == UNICAST:
            after = _without(before, entry)
        if after is not None:
            self.routes.setdefault(entry.prefix, {})[self._rank(entry)] = after
            return RouteEvent(when, "add", after) if after != before or message.new else None
        if before is None:
            return None
        self._remove(entry)
        return RouteEvent(when, "delete", before)

    def replace(self, read: Iterable[Message], when: float) -> list[RouteEvent]:
        """Replace all routes by those of a dump; returns the changes."""
        before = {(entry.prefix, self._rank(entry)): entry for entry in self.entries()}
        after = {
            (entry.prefix, self._rank(entry)): entry
            for message in read
            if isinstance(message, RouteMessage) and message.table in self._tables and message.kind == UNICAST
            for entry in (self.entry(message),)
        }
        self.routes = {}
        for (prefix, rank), entry in after.items():
            self.routes.setdefault(prefix, {})[rank] = entry
        return [
            *(RouteEvent(when, "delete", entry) for key, entry in before.items() if key not in after),
            *(RouteEvent(when, "add", entry) for key, entry in after.items() if before.get(key) != entry),
        ]

    def entry(self, message: RouteMessage) -> FibEntry:
        """Return the route of a message."""
        return FibEntry(
            prefix=message.prefix,
            next_hops=tuple(gateway for gateway, _ in message.hops if gateway is not None),
            interfaces=tuple(self._interface_name(index) for _, index in message.hops if index),
            protocol=self._protocol_name(message.protocol),
            metric=message.metric,
            uses_next_hop_object=message.uses_next_hop_object,
            table=message.table,
        )

    def _rank(self, entry: FibEntry) -> Rank:
        return self._tables[entry.table], entry.metric

    def _remove(self, entry: FibEntry) -> None:
        del self.routes[entry.prefix][self._rank(entry)]
        if not self.routes[entry.prefix]:
            del self.routes[entry.prefix]


class FibWatch:
    """A live copy of a node's FIB, both families, and its events. Close it, or use it as a context manager."""

    def __init__(self, namespace: Namespace, tables: Sequence[int] = (MAIN_TABLE,)) -> None:
        """Follow the main table, or several ones: of routes to one prefix those of the first table precede."""
        self._namespace = namespace
        self._tables = tables
        self._names: dict[int, str] = {}
        self._protocols: dict[int, str] = {}
        self._fib = Fib(self.interface, self.protocol, tables)
        self._events: deque[RouteEvent] = deque(maxlen=_MAX_EVENTS)
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
        """Stop watching; the copy is no longer updated."""
        if self._socket.fileno() >= 0:
            os.write(self._waker, b".")
            self._thread.join()
            self._socket.close()
            os.close(self._wake)
            os.close(self._waker)

    def routes(self, family: Family | None = None) -> Mapping[Prefix, FibEntry]:
        """Return the current FIB; of several routes to one prefix the one in use, with the lowest metric."""
        versions = {"ipv4": (4,), "ipv6": (6,), None: (4, 6)}[family]
        with self._changed:
            found = self._fib.routes.items()
            return {prefix: by[min(by)] for prefix, by in found if prefix.version in versions}

    def route(self, prefix: Prefix) -> FibEntry | None:
        """Return the route to exactly this prefix."""
        with self._changed:
            return self._fib.used(prefix)

    def events(self, since: float = 0.0) -> list[RouteEvent]:
        """Return the events from a time on, oldest first."""
        with self._changed:
            return [event for event in self._events if event.time >= since]

    def copy(self) -> Fib:
        """Return a copy of the current FIB, to be updated by messages from another socket."""
        with self._changed:
            fib = Fib(self.interface, self.protocol, self._tables)
            fib.routes = {prefix: dict(by_metric) for prefix, by_metric in self._fib.routes.items()}
            return fib

    def waiter(self) -> Callable[[float], None]:
        """Return a function that blocks until a change since its last call, or since now, or until its timeout.

        Call this before the first look at the routes, so that no change is missed between a look and a wait.
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
        """Return an interface's name by its index."""
        if index not in self._names:  # a new interface
            self._names.update(self._namespace.run(_names))
        return self._names.get(index, f"if{index}")

    def protocol(self, number: int) -> str:
        """Return the name of a route's protocol, or its number if the node has no name for it."""
        if number not in self._protocols:  # a package may have added its name since
            self._protocols.update(read_route_protocols(Path(f"/proc/{self._namespace.pid}/root")))
            self._protocols.setdefault(number, str(number))
        return self._protocols[number]

    def _load(self, *, first: bool = False) -> None:
        """Read the whole table: at the start, and after changes whose events are missing or lost."""
        names, table = self._namespace.run(lambda: (_names(), _dump()))
        now = time.monotonic()
        with self._changed:
            # Old names are kept: routes are deleted after their interface, and indexes are not reused.
            self._names.update(names)
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
                except EnvironmentBroken:  # the node has ended
                    return

    def _read(self) -> tuple[list[tuple[bytes, float]], bool]:
        """Read all that is queued, each with its time; the second value is False if the kernel dropped events."""
        read: list[tuple[bytes, float]] = []
        try:
            while len(read) < _MAX_READS:
                read.append((self._socket.recv(_CHUNK, socket.MSG_DONTWAIT), time.monotonic()))
        except BlockingIOError:
            return read, True
        except OSError:  # ENOBUFS
            return read, False
        return read, True

    def _apply(self, data: bytes, when: float) -> bool:
        """Apply the events of one read; returns False if the kernel may have deleted routes without an event."""
        complete = True
        with self._changed:
            for message in messages(data):
                if isinstance(message, RouteMessage):
                    event = self._fib.apply(message, when)
                    if event is not None:
                        self._events.append(event)
                else:
                    usable = isinstance(message, LinkMessage) and message.up and message.carrier
                    complete = complete and usable
            self._version += 1
            self._changed.notify_all()
        return complete


def _without(entry: FibEntry | None, gone: FibEntry) -> FibEntry | None:
    """Return the rest of a route: the kernel deletes the next hops of an IPv6 multipath route one by one."""
    if entry is None or entry.prefix.version == 4 or len(entry.next_hops) != len(entry.interfaces):
        return None
    lost = set(zip(gone.next_hops, gone.interfaces, strict=False))
    left = [hop for hop in zip(entry.next_hops, entry.interfaces, strict=True) if hop not in lost]
    if not lost or not left:
        return None
    next_hops, interfaces = zip(*left, strict=True)
    return replace(entry, next_hops=next_hops, interfaces=interfaces)


def subscribe() -> socket.socket:
    """Open a socket that receives all changes of routes, links and addresses in the caller's namespace."""
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    enlarge_receive_buffer(events, _RECEIVE_BUFFER)
    events.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV4_ROUTE | _RTMGRP_IPV6_ROUTE))
    return events


def _names() -> dict[int, str]:
    return dict(socket.if_nameindex())


def _dump() -> bytes:
    """Dump all routes of the caller's namespace, again if they change during the dump."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        return b"".join(_ask(netlink, family) for family in (socket.AF_INET, socket.AF_INET6))


def _ask(netlink: socket.socket, family: int) -> bytes:
    request = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)
    header = _HEADER.pack(_HEADER.size + len(request), _RTM_GETROUTE, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
    parts: list[bytes] = []
    for _ in range(_DUMP_ATTEMPTS):
        netlink.send(header + request)
        parts, done, whole = [], False, True
        while not done:
            parts.append(netlink.recv(_CHUNK))
            done, intact = _progress(parts[-1])
            whole = whole and intact
        if whole:
            break
    return b"".join(parts)


def _progress(data: bytes) -> tuple[bool, bool]:
    """Return whether a part of a dump is the last one, and whether the table has not changed during the dump."""
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
