"""Live status of a lab: snapshots at an interval, and the changes between them.

The kernel reports route changes at once (`FibWatch`). Everything else is polled: OpenVPN's management interface serves
one client at a time, so it must not be kept open, and routing daemons send no notifications.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from lab.core.errors import LabError
from lab.core.prefixes import FAMILIES
from lab.observe import FibEntry, FibWatch, RouteEvent
from lab.routing import plan_routers
from lab.runtime.lab import Lab
from lab.status.overview import OUTSIDE, LabReport, TunnelReport, report
from lab.topology import Family

_NOT_LEARNT: Final = frozenset({"kernel", "boot", "static", "ra"})
"""Protocols of routes that were not learnt from a neighbour."""

Kind = Literal["node", "tunnel", "session", "fault", "prefixes", "route", "bytes"]


@dataclass(frozen=True)
class RouteChange:
    """A route that was added or removed."""

    at: datetime
    node: str
    action: Literal["add", "delete"]
    entry: FibEntry

    def __str__(self) -> str:
        hops = " ".join(map(str, self.entry.next_hops))
        via = f" via {hops}" if hops else ""
        return f"{'+' if self.action == 'add' else '-'} {self.entry.prefix}{via} on {' '.join(self.entry.interfaces)}"


@dataclass(frozen=True)
class Rates:
    """The throughput of a tunnel since the previous snapshot, in bytes per second."""

    to_server: float
    to_client: float


@dataclass(frozen=True)
class Snapshot:
    """The state of a lab at one time."""

    at: datetime
    report: LabReport
    prefixes: Mapping[str, Mapping[Family, int]]
    """The number of learnt prefixes in each router's kernel, by family; without routers that cannot be read."""
    news: tuple[RouteChange, ...] = ()
    """Route changes since the previous snapshot, oldest first."""
    rates: Mapping[str, Rates] = field(default_factory=dict)
    """By tunnel; without tunnels that are down or were down."""


@dataclass(frozen=True)
class Change:
    """A change of state."""

    at: datetime
    kind: Kind
    subject: str
    """A node, `NODE-NEIGHBOUR`, or a tunnel."""
    text: str
    """Description for a line of text, without the subject."""
    data: Mapping[str, Any]
    """The new state as data, for JSON."""


class Watch:
    """Takes snapshots of a lab. Routes are followed on routers only; elsewhere they do not change by themselves."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._watches: dict[str, FibWatch] = {}
        self._started = time.monotonic()
        self._seen: dict[str, RouteEvent] = {}
        """The newest reported event of each router."""
        self._last: Snapshot | None = None
        self._watch_new_routers()

    def snapshots(self, interval: float) -> Iterator[Snapshot]:
        """Yield a snapshot every `interval` seconds, until the lab is taken down."""
        while True:
            begun = time.monotonic()
            try:
                snapshot = self._take_snapshot()
            except LabError:
                if self._lab.nodes:
                    raise
                return
            if not self._lab.nodes:
                return
            yield snapshot
            time.sleep(max(0.0, begun + interval - time.monotonic()))

    def _take_snapshot(self) -> Snapshot:
        self._watch_new_routers()
        found = report(self._lab)
        now = datetime.now(UTC)
        news = {name: self._news(name, watch, now) for name, watch in self._watches.items()}
        known = self._last.prefixes if self._last else {}
        self._last = Snapshot(
            at=now,
            report=found,
            prefixes={
                name: known[name] if name in known and not news[name] else _count_learnt(watch)
                for name, watch in self._watches.items()
            },
            news=tuple(sorted((one for routes in news.values() for one in routes), key=lambda one: one.at)),
            rates=rates(self._last, now, found.tunnels),
        )
        return self._last

    def _news(self, name: str, watch: FibWatch, now: datetime) -> list[RouteChange]:
        last, clock = self._seen.get(name), time.monotonic()
        events = watch.events(last.time if last else self._started)
        if events:
            self._seen[name] = events[-1]
        return [
            RouteChange(now - timedelta(seconds=clock - event.time), name, event.action, event.entry)
            for event in unreported_events(events, last)
        ]

    def _watch_new_routers(self) -> None:
        for name in plan_routers(self._lab.topology):
            if name not in self._watches:
                try:
                    self._watches[name] = self._lab.router(name).fib
                except LabError:  # it does not run, as its row shows
                    continue


def unreported_events(events: Sequence[RouteEvent], last: RouteEvent | None) -> Sequence[RouteEvent]:
    """Return the events after the last reported one, by identity: events of one read have the same time."""
    reported = next((number for number, event in enumerate(events, 1) if event is last), 0)
    return events[reported:]


def rates(before: Snapshot | None, now: datetime, tunnels: tuple[TunnelReport, ...]) -> dict[str, Rates]:
    """Return the throughput of each tunnel that stayed up in the same session."""
    if before is None or now <= before.at:
        return {}
    seconds = (now - before.at).total_seconds()
    earlier = {tunnel.name: tunnel for tunnel in before.report.tunnels}
    found = {}
    for tunnel in tunnels:
        old = earlier.get(tunnel.name)
        if old is None or tunnel.connected_since != old.connected_since:
            continue
        to_server = _increase(old.bytes_to_server, tunnel.bytes_to_server)
        to_client = _increase(old.bytes_to_client, tunnel.bytes_to_client)
        if to_server is not None and to_client is not None:
            found[tunnel.name] = Rates(to_server / seconds, to_client / seconds)
    return found


def _increase(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(0, after - before)


def changes(before: Snapshot | None, after: Snapshot) -> list[Change]:
    """Return the changes from one snapshot to the next, in order of time; for the first snapshot, the whole state."""
    old = {} if before is None else {(c.kind, c.subject): c.data for c in _state(before)}
    found = [change for change in _state(after) if old.get((change.kind, change.subject)) != change.data]
    kept = {(change.kind, change.subject) for change in _state(after)}
    for kind, subject in old.keys() - kept:
        if kind == "fault":
            found.append(Change(after.at, "fault", subject, "no longer in force", {"in_force": False}))
    return sorted([*found, *map(_route_change, after.news)], key=lambda change: change.at)


def _route_change(news: RouteChange) -> Change:
    entry = news.entry
    data = {
        "action": news.action,
        "prefix": entry.prefix,
        "next_hops": entry.next_hops,
        "interfaces": entry.interfaces,
        "protocol": entry.protocol,
    }
    return Change(news.at, "route", news.node, f"{news} ({entry.protocol})", data)


def _state(snapshot: Snapshot) -> Iterator[Change]:
    """Yield the whole state as changes."""
    at, found = snapshot.at, snapshot.report
    for node in found.nodes:
        yield Change(at, "node", node.name, str(node.state), {"state": node.state})
    for tunnel in found.tunnels:
        data: dict[str, Any] = {"up": tunnel.up, "reason": tunnel.reason, "connected_since": tunnel.connected_since}
        text = f"up, {tunnel.real_address}" if tunnel.up else f"down: {tunnel.reason.removeprefix('down: ')}"
        yield Change(at, "tunnel", tunnel.name, text, data)
        if tunnel.up:
            counts = {"to_server": tunnel.bytes_to_server, "to_client": tunnel.bytes_to_client}
            text = f"{tunnel.bytes_to_server} to server, {tunnel.bytes_to_client} to client"
            yield Change(at, "bytes", tunnel.name, text, counts)
    for session in found.sessions:
        state = str(session.state) if session.state else "unknown"
        subject = f"{session.node}-{session.neighbor or OUTSIDE}" + (f" {session.address}" if session.address else "")
        facts: dict[str, Any] = {"state": session.state, "reason": session.reason, "bfd": session.bfd}
        text = state + (f": {session.reason}" if session.reason else "")
        yield Change(at, "session", subject, text + (f", BFD {session.bfd}" if session.bfd else ""), facts)
    for fault in found.faults:
        facts = {"in_force": True, "fault": fault.kind}
        yield Change(at, "fault", str(fault.number), f"{fault.kind}: {fault.what}", facts)
    for name, counted in snapshot.prefixes.items():
        text = ", ".join(f"{_FAMILY_NAMES[family]} {count}" for family, count in counted.items())
        yield Change(at, "prefixes", name, f"learnt {text}", dict(counted.items()))


_FAMILY_NAMES: Final[Mapping[Family, str]] = {"ipv4": "IPv4", "ipv6": "IPv6"}


def _count_learnt(watch: FibWatch) -> dict[Family, int]:
    return {
        family: sum(entry.protocol not in _NOT_LEARNT for entry in watch.routes(family).values()) for family in FAMILIES
    }
