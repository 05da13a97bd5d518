"""Waiting for an expectation, with one deadline that counts from the event which causes it.

The error of a failed wait names the expectation, the last observation, the node and its logs. A wait continues for a
while after its deadline, to tell a late result from a missing one; both fail.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from lab.core.errors import ExpectationFailed, LabError, Unmet

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
    explain: Callable[[], str] | None = None
    """Return the cause in one sentence, empty if unknown; called once, when the wait has failed."""


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
    watched = observed = False
    while True:
        began = clock.now()
        try:
            value = expectation.look()
        except LabError as error:
            last, observed = partial(str, error), False
        else:
            last, observed = partial(expectation.seen, value), True
            if expectation.met(value):
                now = clock.now()
                if now <= deadline:
                    return value
                unmet = _unmet(expectation, last(), now - start, late=True, watched=watched)
                raise ExpectationFailed(_late(unmet, within), unmet)
        now = clock.now()
        watched = watched or (observed and now <= deadline)
        left = end - now
        if left <= 0:
            cause = expectation.explain() if expectation.explain else ""
            unmet = _unmet(expectation, last(), now - start, observed=observed, watched=watched, cause=cause)
            raise ExpectationFailed(_never(unmet, within, end - start), unmet)
        if expectation.changed is not None:
            expectation.changed(left)
        else:
            # Spend at most half of the time on observations: a slow host needs the rest for the awaited change.
            pause = max(POLL, min(now - began, MAX_PAUSE))
            clock.sleep(min(pause, left))


def _unmet(expectation: Expectation[T], seen: str, after: float, **how: Any) -> Unmet:
    parts = {"late": False, "observed": True, **how}
    return Unmet(expectation.node, expectation.what, seen=seen, after=after, logs=expectation.logs, **parts)


def _late(unmet: Unmet, within: float) -> str:
    return (
        f"{unmet.node}: late: {unmet.what}, seen after {unmet.after:.1f} s, expected within {within:g} s{_where(unmet)}"
    )


def _never(unmet: Unmet, within: float, waited: float) -> str:
    cause = f"; cause: {unmet.cause}" if unmet.cause else ""
    return (
        f"{unmet.node}: expected {unmet.what} within {within:g} s, not seen in {waited:.1f} s;"
        f" last seen: {unmet.seen}{cause}{_where(unmet)}"
    )


def _where(unmet: Unmet) -> str:
    return f"; logs: {unmet.logs}" if unmet.logs else ""
