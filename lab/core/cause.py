"""When something was caused: whoever does it says so, and whoever measures what comes of it listens.

with causing():
    bgpd.ask("network 10.9.0.0/24")
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[float, float], None]
"""Called with the times (CLOCK_MONOTONIC) between which something happened."""

_listeners: list[Listener] = []


def caused(since: float, until: float) -> None:
    """Tell that something was done, no earlier than `since` and no later than `until`."""
    for listener in _listeners:
        listener(since, until)


@contextmanager
def causing() -> Iterator[None]:
    """Around the one act that changes something, with all preparation before it."""
    since = time.monotonic()
    yield
    caused(since, time.monotonic())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Be told meanwhile."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
