"""The kernel's FIB of a node, kept by route events (rtnetlink(7)) and never by polling.

The socket is opened in the node's namespace before the table is read, so no change can fall between the two. The
kernel says nothing of the IPv4 routes that go with an interface or an address, so after such an event the table is
read again.
"""

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from types import TracebackType
from typing import Any, Literal, Self

from pyroute2 import IPRoute
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from lab.engine.namespace import Namespace
from lab.errors import EnvironmentBroken
from lab.topology import Address, Family, Prefix

_RTMGRP_LINK = 0x1
_RTMGRP_IPV4_IFADDR = 0x10
_RTMGRP_IPV4_ROUTE = 0x40
_RTMGRP_IPV6_ROUTE = 0x400
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER = 64 << 20
"""Bytes: a burst of a hundred thousand route events is held by the kernel rather than lost."""
_CHUNK = 1 << 18
_IFF_UP = 0x1
_MAIN_TABLE = 254
_UNICAST = 1
_AF_INET = 2
_EVENTS_KEPT = 100_000
_PROTOCOLS = {2: "kernel", 3: "boot", 4: "static", 9: "ra", 11: "zebra", 12: "bird", 186: "bgp", 188: "ospf"}


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


@dataclass(frozen=True)
class RouteEvent:
    """One notification of the kernel."""

    time: float
    """Seconds on CLOCK_MONOTONIC, when the notification was read."""
    action: Literal["add", "delete"]
    entry: FibEntry


class FibWatch:
    """A live copy of a node's FIB, both families, and the events that made it. Close it, or use it as a context."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._names: dict[int, str] = {}
        self._routes: dict[tuple[Prefix, int], FibEntry] = {}
        self._events: deque[RouteEvent] = deque(maxlen=_EVENTS_KEPT)
        self._version = 0
        self._changed = threading.Condition()
        self._marshal = MarshalRtnl()
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC)
        self._socket: socket.socket = namespace.run(_subscribe)
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
            entries = [e for e in self._routes.values() if e.prefix.version in versions]
        return {e.prefix: e for e in sorted(entries, key=lambda e: -e.metric)}

    def route(self, prefix: Prefix) -> FibEntry | None:
        """The route to exactly this prefix."""
        with self._changed:
            found = [e for (p, _), e in self._routes.items() if p == prefix]
        return min(found, key=lambda e: e.metric, default=None)

    def events(self, since: float = 0.0) -> list[RouteEvent]:
        """The events from a time on, oldest first."""
        with self._changed:
            return [event for event in self._events if event.time >= since]

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

    def _load(self, *, first: bool = False) -> None:
        """Read the whole table: at first, and again where the kernel does not tell, or had to drop events."""

        def work() -> tuple[dict[int, str], list[Any]]:
            with IPRoute() as ip:
                names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in ip.get_links()}
                return names, list(ip.get_routes())

        names, messages = self._namespace.run(work)
        now = time.monotonic()
        with self._changed:
            before = self._routes
            self._names = names
            unicast = [message for message in messages if message["type"] == _UNICAST]
            entries = [entry for message in unicast if (entry := self._entry(message)) is not None]
            self._routes = {(entry.prefix, entry.metric): entry for entry in entries}
            if not first:
                gone = [entry for key, entry in before.items() if key not in self._routes]
                new = [entry for key, entry in self._routes.items() if before.get(key) != entry]
                self._events.extend(RouteEvent(now, "delete", entry) for entry in gone)
                self._events.extend(RouteEvent(now, "add", entry) for entry in new)
            self._version += 1
            self._changed.notify_all()

    def _follow(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket.fileno(), self._wake], [], [])
            if self._wake in ready:
                return
            try:
                complete = not self._apply(self._socket.recv(_CHUNK), time.monotonic())
            except OSError:  # ENOBUFS: the kernel had to drop events
                complete = False
            if not complete:
                try:
                    self._load()
                except EnvironmentBroken:  # the node is gone, and its routes with it
                    return

    def _apply(self, data: bytes, now: float) -> bool:
        """Apply the events of one read; True where routes may have gone without a word."""
        silent = False
        with self._changed:
            for message in self._marshal.parse(data):
                silent = silent or _takes_routes_along(message)
                entry = self._entry(message)
                if entry is None:
                    continue
                before = self._routes.pop((entry.prefix, entry.metric), None)
                unicast = message["type"] == _UNICAST
                if message["event"] == "RTM_NEWROUTE":  # a blackhole takes the place of a route, and is none
                    after = entry if unicast else None
                else:
                    after = _without(before, entry) if unicast else before
                if after is not None:
                    self._routes[entry.prefix, entry.metric] = after
                if after is not None and (after != before or message["event"] == "RTM_NEWROUTE"):
                    self._events.append(RouteEvent(now, "add", after))
                elif after is None and before is not None:
                    self._events.append(RouteEvent(now, "delete", before))
            self._version += 1
            self._changed.notify_all()
        return silent

    def _entry(self, message: Any) -> FibEntry | None:
        if message["event"] not in ("RTM_NEWROUTE", "RTM_DELROUTE"):
            return None
        if (message.get_attr("RTA_TABLE") or message["table"]) != _MAIN_TABLE:
            return None
        anywhere = "0.0.0.0" if message["family"] == _AF_INET else "::"  # noqa: S104 - a prefix, not a socket
        prefix = ip_network(f"{message.get_attr('RTA_DST') or anywhere}/{message['dst_len']}")
        hops = [message, *(message.get_attr("RTA_MULTIPATH") or [])]
        vias = [hop.get_attr("RTA_GATEWAY") for hop in hops]
        indices = [message.get_attr("RTA_OIF"), *(hop["oif"] for hop in hops[1:])]
        return FibEntry(
            prefix=prefix,
            next_hops=tuple(ip_address(via) for via in vias if via),
            interfaces=tuple(self._name(index) for index in indices if index),
            protocol=_PROTOCOLS.get(message["proto"], str(message["proto"])),
            metric=message.get_attr("RTA_PRIORITY") or 0,
        )

    def _name(self, index: int) -> str:
        if index not in self._names:  # an interface that came later

            def work() -> dict[int, str]:
                return dict(socket.if_nameindex())

            self._names.update(self._namespace.run(work))
        return self._names.get(index, f"if{index}")


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


def _takes_routes_along(message: Any) -> bool:
    event = message["event"]
    return event in ("RTM_DELLINK", "RTM_DELADDR") or (event == "RTM_NEWLINK" and not message["flags"] & _IFF_UP)


def _subscribe() -> socket.socket:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    events.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    events.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV4_ROUTE | _RTMGRP_IPV6_ROUTE))
    return events
