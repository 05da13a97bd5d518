"""The armed instrument: every socket open and every process running before the event."""

import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from lab.core.outcome import Outcome
from lab.engine.namespace import Namespace
from lab.measure.instrument import updates
from lab.measure.instrument.changes import History, follow
from lab.measure.instrument.clock import Clock, Offset
from lab.measure.instrument.convergence import FORWARDING_DELAY
from lab.measure.instrument.probe import Probes, Target, Trace
from lab.measure.instrument.tape import Recorded, Tape
from lab.measure.instrument.updates import Crossing, crossings
from lab.observe import FibEntry
from lab.observe.fib import Fib, subscribe
from lab.routing import Monitor, RibEvent
from lab.runtime.node import LabNode
from lab.runtime.router import Router
from lab.topology import Prefix

RATE = 1000.0
"""Packets per second and prefix."""

_LEAD = 0.2
"""Seconds of probe packets before the event, to find out which prefixes they reach."""
_LONGEST = 24 * 3600.0
"""Seconds after which the sender of probe packets ends by itself."""


@dataclass(frozen=True)
class ProbePath:
    """Source and targets of probe packets."""

    source: Namespace
    targets: Sequence[Target]
    receivers: Mapping[str, Namespace]
    rate: float = RATE


@dataclass
class Seen:
    """The raw data of a measurement."""

    clock: Clock
    recorded: Recorded
    history: History
    crossings: Sequence[Crossing]
    rib: Sequence[RibEvent]
    trace: Trace | None


@dataclass
class Armed:
    """The armed instrument; a context manager that closes it."""

    observer: LabNode
    prefixes: Sequence[Prefix]
    fib: Fib
    before: dict[Prefix, FibEntry | None]
    tape: Tape
    monitor: Monitor | None
    unmonitored: str
    """Why the RIB is not monitored; empty if it is."""
    interfaces: Sequence[str]
    probes: Probes | None
    flowing: set[Prefix]
    """The prefixes whose probe packets arrived before the event."""
    offset: Offset
    stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.__exit__(kind, error, trace)

    @classmethod
    def arm(cls, observer: LabNode, prefixes: Sequence[Prefix], probe: ProbePath | None, *, rib: bool) -> Self:
        """Open all sockets and start all processes; anything that happens after this returns is recorded."""
        namespace = observer.running.namespace
        with ExitStack() as stack:
            probes = None
            if probe is not None:
                probes = Probes(probe.source, probe.targets, probe.receivers, rate=probe.rate, seconds=_LONGEST)
                stack.callback(probes.close)
                probes.start()
            sockets = [stack.enter_context(namespace.run(subscribe))]
            interfaces = _peering(observer)
            sockets += [stack.enter_context(namespace.run(partial(updates.listen, name))) for name in interfaces]
            monitor, why = _monitor(observer) if rib else (None, "")
            if monitor is not None:
                stack.callback(monitor.close)
                if monitor.socket is not None:
                    sockets.append(monitor.socket)
            tape = stack.enter_context(Tape(sockets))
            tape.wait_ready()
            fib = observer.fib.copy()
            offset = Offset.sample()
            flowing: set[Prefix] = set()
            if probes is not None:
                since = time.monotonic()
                time.sleep(_LEAD)
                flowing = probes.delivered_since(since)
            before = {prefix: fib.used(prefix) for prefix in prefixes}
            return cls(
                observer,
                prefixes,
                fib,
                before,
                tape,
                monitor,
                why,
                interfaces,
                probes,
                flowing,
                offset,
                stack.pop_all(),
            )

    @property
    def expected(self) -> Outcome:
        """The outcome to assume if none was observed in time."""
        return "vanishes" if any(self.before.values()) else "appears"

    def outcome(self) -> Outcome:
        """Return the outcome for the prefixes' routes, according to the current FIB."""
        routes = [self.observer.fib.route(prefix) for prefix in self.prefixes]
        if None in routes:
            return "vanishes"
        return "moves" if any(self.before.values()) else "appears"

    def finish(self, event: float) -> Seen:
        """Stop sending and recording, and return the raw data."""
        trace = None
        if self.probes is not None:
            self.probes.stop_sending()
            time.sleep(FORWARDING_DELAY)
        clock = Clock(self.offset, Offset.sample())
        if self.probes is not None:
            trace = self.probes.stop(clock)
        recorded = self.tape.stop()
        netlink, *captured = recorded.readings[: 1 + len(self.interfaces)]
        rib: list[RibEvent] = []
        if self.monitor is not None:
            readings = recorded.readings[-1] if self.monitor.socket is not None else []
            rib = self.monitor.events([(r.read / 1e9, r.data) for r in readings], self.prefixes, clock.monotonic)
        received = [crossing for readings in captured for crossing in crossings(readings, self.prefixes, clock)]
        return Seen(
            clock=clock,
            recorded=recorded,
            history=follow(netlink, self.fib, self.prefixes, self.observer.fib.interface),
            crossings=sorted((c for c in received if c.time >= event), key=lambda c: c.time),
            rib=sorted((e for e in rib if e.time >= event), key=lambda e: e.time),
            trace=trace,
        )


def _peering(observer: LabNode) -> Sequence[str]:
    """Return the interfaces over which the observer peers, as far as they exist."""
    if not isinstance(observer, Router):
        return []
    existing = {name for _, name in observer.running.namespace.run(socket.if_nameindex)}
    return [interface for interface in observer.plan.interfaces if interface in existing]


def _monitor(observer: LabNode) -> tuple[Monitor | None, str]:
    if not isinstance(observer, Router):
        return None, ""
    if not observer.daemon.is_running(observer.running):
        return None, f"{observer.plan.daemon} was not running when the measurement began, so its RIB is not monitored"
    monitor = observer.daemon.monitor(observer.running, observer.plan)
    return monitor, "" if monitor else f"{observer.plan.daemon} does not export its RIB"
