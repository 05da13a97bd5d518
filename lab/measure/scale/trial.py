"""A scale trial: one table announced to a receiver that discards it, then to a router, then withdrawn."""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.measure.scale.injector import RECEIVER_ASN, Injector
from lab.measure.scale.processes import Usage, usage
from lab.measure.scale.receiver import Delivery, Receiver
from lab.measure.scale.record import Cost, Passage, ScaleTrial, Sending
from lab.measure.scale.table import Table
from lab.observe.route_count import RouteCount, count_routes
from lab.routing import daemon_of, plan_routers
from lab.runtime.lab import Lab

Seen = TypeVar("Seen")

SENDER, ROUTER = "hq", "branch"
STALLED: Final = 90.0
"""Seconds without a single route after which a trial times out."""
_SESSION_WITHIN: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def measure(lab: Lab, table: Table, *, number: int = 1, seed: int = 1) -> ScaleTrial:
    """Announce a table in a running lab of one of this package's topologies, and withdraw it.

    The lab's own FIB watches are closed first: they process every route, which would distort the measurement. A missed
    deadline ends the trial as `timed-out`, with the reason.
    """
    lab.close()
    bed = _Bed(lab, table)
    tunnel = next(iter(lab.topology.tunnels), None)
    sent: dict[str, Sending] = {}
    passed: dict[str, Passage] = {}
    started, reason = datetime.now(UTC), ""
    try:
        bed.injector.load(table)
        sent["announce"], sent["withdraw"] = bed.send_alone()
        passed["announce"] = bed.announce()
        passed["withdraw"] = bed.withdraw()
    except ExpectationFailed as error:
        reason = str(error)
    for event, left in (("announce", len(table)), ("withdraw", 0)):
        passage = passed.get(event)
        if passage is not None and not reason and (passage.in_fib, passage.routes) != (left, len(table)):
            reason = (
                f"after {event} of {len(table)} prefixes {passage.in_fib} were in the FIB and {passage.routes} had "
                f"changed, without any further change for {STALLED:g} s"
            )
    return ScaleTrial(
        family=table.family,
        prefixes=len(table),
        over="tunnel" if tunnel else "wire",
        mode=tunnel.mode if tunnel else "",
        transport=tunnel.transport if tunnel else "",
        openvpn=bed.openvpn(),
        number=number,
        seed=seed,
        paths=table.paths,
        started=started,
        status="timed-out" if reason else "valid",
        reason=reason,
        sent=sent.get("announce"),
        sent_back=sent.get("withdraw"),
        announced=passed.get("announce"),
        withdrawn=passed.get("withdraw"),
    )


class _Bed:
    """The lab and the parts of it that a trial uses."""

    def __init__(self, lab: Lab, table: Table) -> None:
        self._lab = lab
        self._table = table
        self._plans = plan_routers(lab.topology)
        (peer,) = self._plans[SENDER].peers
        assert peer.address is not None
        self._sender, self._router = lab.running(SENDER), lab.running(ROUTER)
        self._address = peer.address
        self._daemon = daemon_of(self._plans[ROUTER])
        self._route_protocol = self._daemon.route_protocol(table.family)
        self.injector = Injector(self._sender, self._plans[SENDER], peer.address)

    def openvpn(self) -> str:
        for tunnel in self._lab.tunnels.values():
            with tunnel.client.management() as management:
                return management.version()
        return ""

    def send_alone(self) -> tuple[Sending, Sending]:
        """Announce and withdraw towards the discarding receiver; the router has no session meanwhile."""
        with Receiver(self._router.namespace, self._address, RECEIVER_ASN) as receiver:
            self.injector.select_receiver()
            try:
                receiver.establish(_SESSION_WITHIN)
                count = len(self._table)
                there = _sending(*_during(self.injector.announce, lambda: receiver.read(announced=count, stalled=60)))
                back = _sending(*_during(self.injector.withdraw, lambda: receiver.read(withdrawn=count, stalled=60)))
            finally:
                self.injector.select_peer()
        self._wait_established()
        return there, back

    def announce(self) -> Passage:
        return self._pass(self.injector.announce, added=len(self._table))

    def withdraw(self) -> Passage:
        return self._pass(self.injector.withdraw, removed=len(self._table))

    def _pass(self, cause: Callable[[], float], *, added: int = 0, removed: int = 0) -> Passage:
        with RouteCount(self._router.namespace, self._table.family, self._route_protocol) as counter:
            before, begun, busy = self._usage(), time.monotonic(), _busy_ticks()
            caused, counted = _during(cause, lambda: counter.follow(added=added, removed=removed, stalled=STALLED))
            took, busy = time.monotonic() - begun, _busy_ticks() - busy
            after = self._usage()
        return Passage(
            routes=counted.added if added else counted.removed,
            first=None if counted.first is None else counted.first - caused,
            last=None if counted.last is None else counted.last - caused,
            error=counted.error,
            in_fib=count_routes(self._router.namespace, self._table.family, self._route_protocol),
            events_lost=counted.lost,
            costs=tuple(_cost(before.get(key), now) for key, now in sorted(after.items())),
            busy=busy / _TICKS / took,
        )

    def _usage(self) -> dict[tuple[str, str], Usage]:
        return usage([self._sender, self._router])

    def _wait_established(self) -> None:
        wait_for(
            Expectation(
                what=f"the session with {SENDER} to be up",
                node=ROUTER,
                look=lambda: self._daemon.neighbors(self._router),
                met=lambda found: all(neighbor.up for neighbor in found),
                logs=self._router.files,
            ),
            within=_SESSION_WITHIN,
        )


def _during(cause: Callable[[], float], watch: Callable[[], Seen]) -> tuple[float, Seen]:
    """Cause an event and watch its effect in parallel, because the command returns only when it is done."""
    with ThreadPoolExecutor(1) as pool:
        causing = pool.submit(cause)
        seen = watch()
        return causing.result(), seen


def _sending(caused: float, delivery: Delivery) -> Sending:
    return Sending(
        first=delivery.first - caused,
        last=delivery.last - caused,
        size=delivery.size,
        updates=delivery.carried.updates,
        prefixes=delivery.carried.announced + delivery.carried.withdrawn,
    )


def _cost(before: Usage | None, after: Usage) -> Cost:
    earlier: Mapping[str, float] = before.threads if before else {}
    spent = {name: cpu - earlier.get(name, 0.0) for name, cpu in after.threads.items()}
    busiest = max(spent, key=lambda name: spent[name])
    return Cost(
        node=after.node,
        program=after.program,
        cpu=max(0.0, sum(spent.values())),
        busiest_thread=busiest,
        busiest_cpu=max(0.0, spent[busiest]),
        memory=after.memory,
    )


def _busy_ticks() -> int:
    """Return the busy time of the whole host: user, nice, system, interrupts (proc_stat(5))."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    return user + nice + system + irq + softirq
