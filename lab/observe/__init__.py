"""Observe a node from the host: its kernel's routes, its packets and its reachability. Nothing here changes a node."""

from typing import TYPE_CHECKING

from lab.core.lazy import lazy_exports

if TYPE_CHECKING:
    from lab.observe.capture import Capture, CapturedPacket
    from lab.observe.counters import without_route
    from lab.observe.fib import FibEntry, FibWatch, RouteEvent
    from lab.observe.probe import Echo, echo, send

__all__ = ["Capture", "CapturedPacket", "Echo", "FibEntry", "FibWatch", "RouteEvent", "echo", "send", "without_route"]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "lab.observe.capture": ("Capture", "CapturedPacket"),
            "lab.observe.counters": ("without_route",),
            "lab.observe.fib": ("FibEntry", "FibWatch", "RouteEvent"),
            "lab.observe.probe": ("Echo", "echo", "send"),
        },
    )
