"""Deadlines: they count from the event; late and missing results differ; the error names node, observation and logs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import EnvironmentBroken, ExpectationFailed, Unmet
from lab.core.expect import MAX_PAUSE, Expectation, wait_for


class FakeClock:
    """A clock that advances only while a test waits."""

    def __init__(self, now: float = 100.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds > 0, "a wait without a pause keeps a processor busy"
        self.time += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def from_time(clock: FakeClock, when: float) -> Callable[[], str]:
    """Return an observation: `down`, and `up` from a time on."""
    return lambda: "up" if clock.now() >= when else "down"


def expectation(look: Callable[[], str], **more: Any) -> Expectation[str]:
    return Expectation(what="tun0 to be up", node="hq", look=look, met=lambda seen: seen == "up", **more)


def test_met_expectation_returns_at_once(clock: FakeClock) -> None:
    assert wait_for(expectation(lambda: "up"), within=5, clock=clock) == "up"
    assert clock.now() == 100


def test_met_expectation_returns_with_a_deadline_of_zero(clock: FakeClock) -> None:
    assert wait_for(expectation(lambda: "up"), within=0, clock=clock) == "up"


def test_expectation_is_met_when_the_observation_changes(clock: FakeClock) -> None:
    assert wait_for(expectation(from_time(clock, 103)), within=5, clock=clock) == "up"
    assert 103 <= clock.now() < 103.2


def test_observations_take_at_most_half_of_the_time(clock: FakeClock) -> None:
    looks = []

    def look() -> str:
        looks.append(clock.now())
        clock.sleep(0.4)
        return "down"

    with pytest.raises(ExpectationFailed):
        wait_for(expectation(look), within=8, grace=0, clock=clock)
    assert len(looks) == 11  # at 100.0, 100.8, ... and 108.0: the last pause ends with the deadline


def test_pause_after_a_long_observation_is_limited(clock: FakeClock) -> None:
    came = clock.now() + 31

    def look() -> str:
        clock.sleep(30)
        return "up" if clock.now() >= came else "down"

    wait_for(expectation(look), within=90, clock=clock)
    assert clock.now() == pytest.approx(100 + 30 + MAX_PAUSE + 30)


def test_deadline_counts_from_the_event_and_not_from_the_wait(clock: FakeClock) -> None:
    with pytest.raises(ExpectationFailed, match=r"late: tun0 to be up, seen after 6\.0 s, expected within 5 s"):
        wait_for(expectation(from_time(clock, 101)), within=5, since=95, clock=clock)


def test_expectation_first_met_after_the_deadline_is_late(clock: FakeClock) -> None:
    with pytest.raises(ExpectationFailed, match=r"late: .* seen after 10\.0 s"):
        wait_for(expectation(lambda: "up"), within=5, since=90, clock=clock)


def test_late_error_names_time_and_logs(clock: FakeClock) -> None:
    with pytest.raises(ExpectationFailed) as caught:
        wait_for(expectation(from_time(clock, 107), logs=Path("/lab/hq")), within=5, clock=clock)
    took = re.fullmatch(
        r"hq: late: tun0 to be up, seen after (\d+\.\d) s, expected within 5 s; logs: /lab/hq", str(caught.value)
    )
    assert took
    assert 7.0 <= float(took[1]) <= 7.2


def test_error_names_node_expectation_observation_and_logs(clock: FakeClock) -> None:
    waiting = expectation(lambda: "down", seen=lambda s: f"state {s!r}", logs=Path("/lab/hq"))
    with pytest.raises(ExpectationFailed) as caught:
        wait_for(waiting, within=5, grace=2, clock=clock)
    assert str(caught.value) == (
        "hq: expected tun0 to be up within 5 s, not seen in 7.0 s; last seen: state 'down'; logs: /lab/hq"
    )
    assert clock.now() == pytest.approx(107)


def test_observation_is_described_once_and_only_in_an_error(clock: FakeClock) -> None:
    described: list[str] = []

    def describe(value: str) -> str:
        described.append(value)
        return value

    wait_for(expectation(from_time(clock, 103.0), seen=describe), within=5, clock=clock)
    assert described == []
    with pytest.raises(ExpectationFailed, match="last seen: down"):
        wait_for(expectation(lambda: "down", seen=describe), within=5, clock=clock)
    assert described == ["down"]


def test_error_without_logs_names_none(clock: FakeClock) -> None:
    with pytest.raises(ExpectationFailed) as caught:
        wait_for(expectation(lambda: "down"), within=1, clock=clock)
    assert "logs" not in str(caught.value)


def test_grace_is_by_default_as_long_as_the_deadline(clock: FakeClock) -> None:
    with pytest.raises(ExpectationFailed, match="not seen"):
        wait_for(expectation(lambda: "down"), within=5, clock=clock)
    assert clock.now() == pytest.approx(110)
    with pytest.raises(ExpectationFailed, match="not seen"):
        wait_for(expectation(lambda: "down"), within=5, grace=0, clock=clock)
    assert clock.now() == pytest.approx(115)


def test_error_is_a_lab_error_and_a_failed_assertion(clock: FakeClock) -> None:
    with pytest.raises(AssertionError) as caught:
        wait_for(expectation(lambda: "down"), within=1, clock=clock)
    assert isinstance(caught.value, ExpectationFailed)
    assert caught.value.exit_code == 1


def test_lab_error_of_an_observation_does_not_end_the_wait(clock: FakeClock) -> None:
    def look() -> str:
        if clock.now() < 102:
            raise EnvironmentBroken("bgpd does not answer")
        return "up"

    assert wait_for(expectation(look), within=5, clock=clock) == "up"
    assert clock.now() >= 102


def test_last_error_of_an_observation_is_in_the_message(clock: FakeClock) -> None:
    def look() -> str:
        raise EnvironmentBroken(f"bgpd does not answer at {clock.now():.0f}")

    with pytest.raises(ExpectationFailed, match="last seen: bgpd does not answer at 102"):
        wait_for(expectation(look), within=1, clock=clock)


def test_other_exception_of_an_observation_ends_the_wait(clock: FakeClock) -> None:
    def look() -> str:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        wait_for(expectation(look), within=5, clock=clock)
    assert clock.now() == 100


def test_notification_replaces_polling(clock: FakeClock) -> None:
    looks: list[float] = []
    waits: list[float] = []

    def look() -> str:
        looks.append(clock.now())
        return from_time(clock, 104)()

    def changed(seconds: float) -> None:
        waits.append(seconds)
        clock.time += 2

    assert wait_for(expectation(look, changed=changed), within=5, grace=3, clock=clock) == "up"
    assert looks == [100, 102, 104], "one look at first, and one after each notification"
    assert waits == [pytest.approx(8), pytest.approx(6)], "no wait for a notification goes beyond the grace"


def test_wait_without_a_notification_ends_with_the_grace(clock: FakeClock) -> None:
    with pytest.raises(ExpectationFailed, match=r"not seen in 4\.0 s"):
        wait_for(expectation(lambda: "down", changed=clock.sleep), within=2, clock=clock)
    assert clock.now() == pytest.approx(104)


def unmet(clock: FakeClock, look: Callable[[], str], *, within: float, since: float | None = None) -> Unmet:
    """Return the parts of the error of a wait that fails."""
    with pytest.raises(ExpectationFailed) as caught:
        wait_for(expectation(look, logs=Path("/logs"), explain=lambda: "why"), within=within, since=since, clock=clock)
    assert caught.value.unmet is not None
    return caught.value.unmet


def test_error_has_its_parts(clock: FakeClock) -> None:
    found = unmet(clock, lambda: "down", within=5)
    assert (found.node, found.what, found.seen, found.cause, found.logs) == (
        "hq",
        "tun0 to be up",
        "down",
        "why",
        Path("/logs"),
    )
    assert (found.late, found.watched, found.observed) == (False, True, True)
    assert found.after == pytest.approx(10, abs=0.2)


def test_late_observation_is_told_apart_from_one_that_began_too_late(clock: FakeClock) -> None:
    watched = unmet(clock, from_time(clock, 107), within=5)
    assert (watched.late, watched.watched, watched.seen, watched.cause) == (True, True, "up", "")
    began_late = unmet(clock, lambda: "up", within=5, since=clock.now() - 8)
    assert (began_late.late, began_late.watched) == (True, False)


def test_failed_observation_is_none(clock: FakeClock) -> None:
    def look() -> str:
        raise EnvironmentBroken("no answer")

    found = unmet(clock, look, within=5)
    assert (found.observed, found.watched, found.seen) == (False, False, "no answer")
