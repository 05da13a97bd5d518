"""Observe a node from the host: its kernel's routes, its packets, what it reaches. Nothing here changes a node."""

from lab.observe.capture import Capture, CapturedPacket
from lab.observe.counters import without_route
from lab.observe.fib import FibEntry, FibWatch, RouteEvent
from lab.observe.probe import Echo, echo, send

__all__ = ["Capture", "CapturedPacket", "Echo", "FibEntry", "FibWatch", "RouteEvent", "echo", "send", "without_route"]
