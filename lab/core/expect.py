"""Waiting for something observable, with one deadline that counts from the act which causes it.

A wait that fails says what was expected, what was seen last, on which node and where the logs are. It goes on for
a while after its deadline, because "late" and "never" are different findings; both fail.
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
"""Seconds between two looks at what gives no notice of a change; as long as a look took, where that is longer."""
LONGEST_PAUSE = 1.0
"""Seconds between two looks however long one takes."""
GRACE = 10.0
"""Seconds that a wait goes on after its deadline at most, to tell late from never; never longer than the deadline."""


class Clock(Protocol):
    """Time, and waiting for it; tests have a fake one."""

    def now(self) -> float:
        """Seconds on a monotonic scale."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class MonotonicClock:
    """CLOCK_MONOTONIC: the same in all processes and namespaces of a machine."""

    def now(self) -> float:
        """Seconds since some point in the past."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Expectation(Generic[T]):
    """Something observable, and what it should be."""

    what: str
    """As in "expected WHAT", e.g. `10.9.0.0/24 via tun0 in the kernel FIB`."""
    node: str
    look: Callable[[], T]
    """One look. A `LabError` counts as seen but not met: a daemon may be on its way."""
    met: Callable[[T], bool]
    seen: Callable[[T], str] = str
    """What was seen, for the message."""
    logs: Path | None = None
    """Where the node's logs are."""
    changed: Callable[[float], object] | None = None
    """Block until something may have changed or so many seconds have passed; polling where there is none."""


def wait_for(
    expectation: Expectation[T],
    *,
    within: float,
    since: float | None = None,
    grace: float | None = None,
    clock: Clock | None = None,
) -> T:
    """Wait until an expectation is met and return what was seen then.

    `within` are seconds from `since`, a time of the same clock, by default now. `grace` are the seconds that the
    wait goes on after a missed deadline, by default as many again, up to `GRACE`. Raises `ExpectationFailed`.
    """
    clock = clock or MonotonicClock()
    start = clock.now() if since is None else since
    deadline = start + within
    end = deadline + (min(within, GRACE) if grace is None else grace)
    last: Callable[[], str] = partial(str, "nothing")  # told when the wait has failed: to tell can take long
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
            # Looking never takes more than half of the time: a slow machine has to get on with what is waited for.
            pause = max(POLL, min(now - began, LONGEST_PAUSE))
            clock.sleep(min(pause, left))


def _late(expectation: Expectation[T], took: float, within: float) -> str:
    return (
        f"{expectation.node}: late: {expectation.what} came after {took:.1f} s, expected within {within:g} s"
        f"{_where(expectation)}"
    )


def _never(expectation: Expectation[T], last: str, within: float, waited: float) -> str:
    return (
        f"{expectation.node}: expected {expectation.what} within {within:g} s, and it did not come in {waited:.1f} s;"
        f" last seen: {last}{_where(expectation)}"
    )


def _where(expectation: Expectation[T]) -> str:
    return f"; logs: {expectation.logs}" if expectation.logs else ""
