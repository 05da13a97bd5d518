"""Whoever listens is told of what is caused, and of when."""

import time

import pytest

from lab.core.cause import caused, causing, listening


def test_a_listener_hears_when_something_was_done() -> None:
    heard: list[tuple[float, float]] = []
    with listening(lambda since, until: heard.append((since, until))):
        before = time.monotonic()
        with causing():
            inside = time.monotonic()
        caused(1.0, 2.0)
    caused(3.0, 4.0)
    (since, until), told = heard
    assert before <= since <= inside <= until <= time.monotonic()
    assert told == (1.0, 2.0)


def test_what_failed_was_not_caused() -> None:
    heard: list[tuple[float, float]] = []

    def fail() -> None:
        with causing():
            raise ValueError

    with listening(lambda since, until: heard.append((since, until))), pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert heard == []
