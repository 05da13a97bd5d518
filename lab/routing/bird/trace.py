"""Changes of BIRD's tables and protocols, from its log with microseconds (`birdc debug`)."""

import contextlib
import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Literal

from lab.core.errors import EnvironmentBroken
from lab.engine.node import RunningNode
from lab.routing.bird.control import Control
from lab.routing.daemon import Monitor
from lab.routing.model import RibEvent
from lab.routing.peers import RouterPlan
from lab.topology import Address, Prefix, RoutingProtocol

_PATTERNS: dict[RoutingProtocol, str] = {"bgp": "peer*", "ospf": "ospf*", "rip": "rip*"}
_KERNEL = "kernel*"
_PREFIX = r"(?P<prefix>[0-9a-fA-F.:]+/\d+) "
_IMPORT = re.compile(rf"(?P<time>\S+ \S+) .*<TRACE> \S+ > (?P<verb>added|replaced|removed) \[(?P<mark>\w+)\] {_PREFIX}")
# BIRD 3 logs imports only if debugging was on when the session came up; it always logs exports to the kernel.
_EXPORT = re.compile(rf"(?P<time>\S+ \S+) .*<TRACE> kernel\S+ < (?P<verb>added|replaced|removed) {_PREFIX}")
_STATE = re.compile(r"(?P<time>\S+ \S+) .*<TRACE> peer(?P<peer>\d+): State changed to (?P<state>up|stop|flush)")
_IMPORTED: dict[tuple[str, str], Literal["best", "gone"]] = {
    ("added", "best"): "best",
    ("replaced", "best"): "best",
    ("removed", "best"): "best",  # and another path becomes the best
    ("removed", "replaced"): "best",
    ("removed", "sole"): "gone",
}


class Trace(Monitor):
    """BIRD's log, with what `debug` adds to it."""

    source = "log"
    # BIRD reads the clock once per iteration of its event loop.
    error = 0.001

    def __init__(self, node: RunningNode, plan: RouterPlan) -> None:
        self._node, self._plan = node, plan
        self._log = node.files / "var/log/bird/bird.log"
        self._size = self._log.stat().st_size if self._log.exists() else 0
        self._debug(_PATTERNS[plan.protocol], "{ states, routes }")
        self._debug(_KERNEL, "{ routes }")

    def events(
        self, read: Sequence[tuple[float, bytes]], prefixes: Collection[Prefix], monotonic: Callable[[int], float]
    ) -> list[RibEvent]:
        """See `Monitor`."""
        with self._log.open("rb") as log:
            log.seek(self._size)
            text = log.read().decode(errors="replace")
        return events(text, prefixes, self._plan, monotonic)

    def close(self) -> None:
        """See `Monitor`."""
        with contextlib.suppress(EnvironmentBroken):
            self._debug(_PATTERNS[self._plan.protocol], "off")
            self._debug(_KERNEL, "off")

    def _debug(self, protocols: str, what: str) -> None:
        with Control(self._node.root) as bird:
            bird.ask(f'debug "{protocols}" {what}')


def events(
    text: str, prefixes: Collection[Prefix], plan: RouterPlan, monotonic: Callable[[int], float]
) -> list[RibEvent]:
    """Parse the lines of a log, whose times are UTC as all times in a node."""
    found: list[RibEvent] = []
    down: set[str] = set()
    for line in text.splitlines():
        what: Literal["best", "gone"] | None = None
        if route := _IMPORT.match(line):
            what = _IMPORTED.get((route["verb"], route["mark"]))
        elif route := _EXPORT.match(line):
            what = "gone" if route["verb"] == "removed" else "best"
        if route is not None and what is not None:
            prefix = ip_network(route["prefix"])
            if prefix in prefixes:
                found.append(RibEvent(monotonic(_nanoseconds(route["time"])), what, prefix, None))
        elif state := _STATE.match(line):
            when, peer = monotonic(_nanoseconds(state["time"])), state["peer"]
            if state["state"] == "up":
                down.discard(peer)
                found.append(RibEvent(when, "up", None, _address(plan, int(peer))))
            elif peer not in down:  # a session that goes down logs stop, flush, or both
                down.add(peer)
                found.append(RibEvent(when, "down", None, _address(plan, int(peer))))
    return found


def _nanoseconds(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _address(plan: RouterPlan, number: int) -> Address | None:
    return plan.peers[number - 1].address if 0 < number <= len(plan.peers) else None
