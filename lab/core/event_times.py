"""The times of the changes that a lab makes; a measurement of that lab receives them.

with node.event_times.timing():
    bgpd.ask("network 10.9.0.0/24")
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[float, float], None]
"""Called with the times (CLOCK_MONOTONIC) between which an event happened."""


class EventTimes:
    """Passes the times of one lab's events on to the measurements that run in it."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def record(self, since: float, until: float) -> None:
        """Record an event that happened no earlier than `since` and no later than `until`."""
        for listener in tuple(self._listeners):
            listener(since, until)

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Record the block as one event, unless it fails. Do all preparations before the block."""
        since = time.monotonic()
        yield
        self.record(since, time.monotonic())

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Call `listener` for each event during the block."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)
