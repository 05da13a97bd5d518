"""The results of the measurements in a lab, and their receivers. Imports nothing heavy: the pytest plugin loads it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Receiver = Callable[[dict[str, Any]], None]
"""Called with the result of a measurement, as data for JSON."""


class Results:
    """Passes the results of one lab's measurements to the receivers of that lab."""

    def __init__(self) -> None:
        """Start with the receivers that `attaching` adds to each new lab."""
        self._receivers: list[Receiver] = []
        for attach in _attaching:
            attach(self)

    def receive(self, receiver: Receiver) -> None:
        """Call a receiver with each result from now on."""
        self._receivers.append(receiver)

    def publish(self, result: dict[str, Any]) -> None:
        """Pass a result to all receivers."""
        for receiver in self._receivers:
            receiver(result)


_attaching: list[Callable[[Results], None]] = []


@contextmanager
def attaching(attach: Callable[[Results], None]) -> Iterator[None]:
    """Call `attach` with the results of each lab that this process deploys or attaches to during the block."""
    _attaching.append(attach)
    try:
        yield
    finally:
        _attaching.remove(attach)
