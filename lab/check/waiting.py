"""Waiting for an expectation of a check, and its result."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from lab.check.model import Result, Start, Verdict
from lab.core.errors import ExpectationFailed, LabError
from lab.core.expect import Expectation, wait_for

T = TypeVar("T")

_PAUSE = 0.5
"""Seconds between two observations that cost something, such as a query or a packet."""


def wait(expectation: Expectation[T], start: Start, *, evidence: Callable[[T], Iterable[str]] = lambda _: ()) -> Result:
    """Wait until an expectation is met or its deadline has passed, and return the result.

    With a deadline of 0 it is observed once. `evidence` describes the observation that met it.
    """
    if start.within == 0:
        return _observe_once(expectation, start, evidence)
    try:
        value = wait_for(expectation, within=start.within, since=start.time)
    except ExpectationFailed as error:
        return failed(error, start)
    return Result(Verdict.HELD, expectation.seen(value), elapsed(start), evidence=tuple(evidence(value)))


def _observe_once(expectation: Expectation[T], start: Start, evidence: Callable[[T], Iterable[str]]) -> Result:
    value = expectation.look()
    seen, after = expectation.seen(value), elapsed(start)
    if expectation.met(value):
        return Result(Verdict.HELD, seen, after, evidence=tuple(evidence(value)))
    cause = expectation.explain() if expectation.explain else ""
    return Result(Verdict.FAILED, seen, after, cause, expectation.logs)


def failed(error: ExpectationFailed, start: Start) -> Result:
    """Return the result of a failed wait."""
    unmet = error.unmet
    if unmet is None:
        return Result(Verdict.FAILED, str(error), elapsed(start))
    verdict, seen = Verdict.FAILED, unmet.seen
    if not unmet.observed:
        verdict = Verdict.CANNOT_TELL
    elif unmet.late and unmet.watched:
        verdict = Verdict.LATE
    elif unmet.late:
        verdict, seen = Verdict.CANNOT_TELL, f"{unmet.seen}; first looked after the deadline, at {unmet.after:.1f} s"
    return Result(verdict, seen, unmet.after, unmet.cause, unmet.logs)


def unobserved(error: LabError, start: Start) -> Result:
    """Return the result of an observation that is not possible."""
    return Result(Verdict.CANNOT_TELL, str(error), elapsed(start))


def elapsed(start: Start) -> float:
    """Return the seconds since the start of a step."""
    return time.monotonic() - start.time


def pause(left: float) -> None:
    """Sleep between two observations that cost something, `left` seconds at most."""
    time.sleep(min(_PAUSE, left))
