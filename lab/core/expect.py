"""Waiting for an expectation, with one deadline that counts from the event which causes it.

The error of a failed wait names the expectation, the last observation, the node and its logs. A wait continues for a
while after its deadline, to tell a late result from a missing one; both fail.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from lab.core.errors import ExpectationFailed, LabError

T = TypeVar("T")

POLL = 0.05
"""Seconds between two observations without notifications; at least as long as an observation takes."""
MAX_PAUSE = 1.0
"""The most seconds between two observations, however long one takes."""
GRACE = 10.0
"""The most seconds that a wait continues after its deadline, which tells a late result from a missing one."""


class Clock(Protocol):
    """A clock to wait by; tests use a fake one."""

    def now(self) -> float:
        """Return seconds on a monotonic scale."""

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""


class MonotonicClock:
    """CLOCK_MONOTONIC: the same in all processes and namespaces of a host."""

    def now(self) -> float:
        """Return seconds since an arbitrary point in the past."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Expectation(Generic[T]):
    """An observation, and a condition that it should meet."""

    what: str
    """Completes "expected …", e.g. `10.9.0.0/24 via tun0 in the kernel FIB`."""
    node: str
    look: Callable[[], T]
    """Make one observation. A `LabError` counts as not met: a daemon may still be starting."""
    met: Callable[[T], bool]
    seen: Callable[[T], str] = str
    """Describe an observation in the message."""
    logs: Path | None = None
    """The directory of the node's logs."""
    changed: Callable[[float], object] | None = None
    """Block until the observation may have changed, or for that many seconds; None to poll."""


def wait_for(
    expectation: Expectation[T],
    *,
    within: float,
    since: float | None = None,
    grace: float | None = None,
    clock: Clock | None = None,
) -> T:
    """Wait until an expectation is met and return the observation that met it.

    The deadline is `within` seconds after `since`, a time of the same clock, by default now. The wait continues `grace`
    seconds after it, by default `within` again, up to `GRACE`. Raises `ExpectationFailed`.
    """
    clock = clock or MonotonicClock()
    start = clock.now() if since is None else since
    deadline = start + within
    end = deadline + (min(within, GRACE) if grace is None else grace)
    last: Callable[[], str] = partial(str, "nothing")  # called once the wait has failed: describing can take long
    while True:
        began = clock.now()
        try:
            value = expectation.look()
        except LabError as error:
            last = partial(str, error)
        else:
            last = partial(expectation.seen, value)
            if expectation.met(value):
                now = clock.now()
                if now <= deadline:
                    return value
                raise ExpectationFailed(_late(expectation, now - start, within))
        now = clock.now()
        left = end - now
        if left <= 0:
            raise ExpectationFailed(_never(expectation, last(), within, end - start))
        if expectation.changed is not None:
            expectation.changed(left)
        else:
            # Spend at most half of the time on observations: a slow host needs the rest for the awaited change.
            pause = max(POLL, min(now - began, MAX_PAUSE))
            clock.sleep(min(pause, left))


def _late(expectation: Expectation[T], took: float, within: float) -> str:
    return (
        f"{expectation.node}: late: {expectation.what}, seen after {took:.1f} s, expected within {within:g} s"
        f"{_where(expectation)}"
    )


def _never(expectation: Expectation[T], last: str, within: float, waited: float) -> str:
    return (
        f"{expectation.node}: expected {expectation.what} within {within:g} s, not seen in {waited:.1f} s;"
        f" last seen: {last}{_where(expectation)}"
    )


def _where(expectation: Expectation[T]) -> str:
    return f"; logs: {expectation.logs}" if expectation.logs else ""
