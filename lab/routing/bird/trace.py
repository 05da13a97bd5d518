"""Changes of BIRD's tables and protocols, from its log with microseconds (`birdc debug`)."""

import contextlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
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
_EXPORT = re.compile(rf"(?P<time>\S+ \S+) .*<TRACE> (?P<name>[^. ]+)\S* < (?P<verb>added|replaced|removed) {_PREFIX}")
_STATE = re.compile(r"(?P<time>\S+ \S+) .*<TRACE> (?P<name>\S+): State changed to (?P<state>up|stop|flush)")
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

    def __init__(
        self,
        node: RunningNode,
        names: Mapping[str, Address | None],
        *,
        log: str = "var/log/bird/bird.log",
        routing: Collection[str],
        kernel: Collection[str] = (_KERNEL,),
    ) -> None:
        """Follow `log`; `names` are the protocols of the neighbours with their addresses.

        `routing` and `kernel` are names or patterns of the protocols to debug.
        """
        self._node, self._names = node, names
        self._routing, self._kernel = routing, kernel
        self._log = node.files / log
        self._size = self._log.stat().st_size if self._log.exists() else 0
        self._debug(routing, "{ states, routes }")
        self._debug(kernel, "{ routes }")

    def events(
        self, read: Sequence[tuple[float, bytes]], prefixes: Collection[Prefix], monotonic: Callable[[int], float]
    ) -> list[RibEvent]:
        """See `Monitor`."""
        with self._log.open("rb") as log:
            log.seek(self._size)
            text = log.read().decode(errors="replace")
        return events(text, prefixes, self._names, monotonic, kernel=self._kernel)

    def close(self) -> None:
        """See `Monitor`."""
        with contextlib.suppress(EnvironmentBroken):
            self._debug(self._routing, "off")
            self._debug(self._kernel, "off")

    def _debug(self, protocols: Collection[str], what: str) -> None:
        with Control(self._node.root) as bird:
            for name in protocols:
                bird.ask(f'debug "{name}" {what}')


def follow(node: RunningNode, plan: RouterPlan) -> Trace:
    """Follow the log of a BIRD with the lab's configuration."""
    names = {f"peer{number}": peer.address for number, peer in enumerate(plan.peers, 1)}
    return Trace(node, names, routing=[_PATTERNS[plan.protocol]])


def events(
    text: str,
    prefixes: Collection[Prefix],
    names: Mapping[str, Address | None],
    monotonic: Callable[[int], float],
    *,
    kernel: Collection[str] = (_KERNEL,),
) -> list[RibEvent]:
    """Parse the lines of a log, whose times are UTC as all times in a node; see `Trace`."""
    found: list[RibEvent] = []
    down: set[str] = set()
    for line in text.splitlines():
        what: Literal["best", "gone"] | None = None
        if route := _IMPORT.match(line):
            what = _IMPORTED.get((route["verb"], route["mark"]))
        elif (route := _EXPORT.match(line)) and any(fnmatchcase(route["name"], name) for name in kernel):
            what = "gone" if route["verb"] == "removed" else "best"
        if route is not None and what is not None:
            prefix = ip_network(route["prefix"])
            if prefix in prefixes:
                found.append(RibEvent(monotonic(_nanoseconds(route["time"])), what, prefix, None))
        elif (state := _STATE.match(line)) and state["name"] in names:
            when, peer = monotonic(_nanoseconds(state["time"])), state["name"]
            if state["state"] == "up":
                down.discard(peer)
                found.append(RibEvent(when, "up", None, names[peer]))
            elif peer not in down:  # a session that goes down logs stop, flush, or both
                down.add(peer)
                found.append(RibEvent(when, "down", None, names[peer]))
    return found


def _nanoseconds(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
