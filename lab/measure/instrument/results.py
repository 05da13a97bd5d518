"""Who wants to know of every measurement of this process: pytest's plugin, to write them down."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Listener = Callable[[dict[str, Any]], None]
"""Called with what a measurement found, for JSON."""

_listeners: list[Listener] = []


def publish(found: dict[str, Any]) -> None:
    """Tell whoever listens."""
    for listener in _listeners:
        listener(found)


@contextmanager
def collected(listener: Listener) -> Iterator[None]:
    """Be told meanwhile."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
