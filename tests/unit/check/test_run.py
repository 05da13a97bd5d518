"""Runs of steps, with expectations and actions of the tests: order, deadlines, verdicts, undoing."""

import time
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest

from lab.check.model import Action, Checked, Checks, Expected, Item, Result, Start, Step, Verdict
from lab.check.run import Run
from lab.check.session import Session
from lab.check.waiting import failed, wait
from lab.core.errors import CommandFailed, EnvironmentBroken, ExpectationFailed, Unmet
from lab.core.expect import Expectation
from lab.runtime.lab import Lab

LAB: Any = SimpleNamespace(name="paper", topology=SimpleNamespace(nodes={}))


class Seen(Expected):
    """An expectation that is met from a time on, counted from its first observation."""

    kind = "seen"
    summary = "for tests"

    what: str = "it"
    true_after: float = 0.0
    error: str = ""
    broken: bool = False

    def __str__(self) -> str:
        return self.what

    @property
    def place(self) -> str:
        return "hq"

    def check(self, lab: Lab, start: Start) -> Result:
        if self.broken:
            raise EnvironmentBroken("it cannot be looked at")

        def look() -> float:
            if self.error:
                raise EnvironmentBroken(self.error)
            return time.monotonic() - start.time

        expectation = Expectation(
            what=self.what,
            node="hq",
            look=look,
            met=lambda since: since >= self.true_after,
            seen=lambda since: "true" if since >= self.true_after else "false",
            logs=Path("/logs"),
            explain=lambda: "because",
        )
        return wait(expectation, start, evidence=lambda _: ["a line"])


class Last(Seen):
    """One that is observed after the others."""

    kind = "last"
    last = True


class Act(Action):
    """An action that notes its calls."""

    kind = "act"
    summary = "for tests"

    name: str
    fails: bool = False

    def __str__(self) -> str:
        return self.name

    def run(self, session: Session) -> None:
        if self.fails:
            raise CommandFailed("exit code 1")
        CALLS.append(f"do {self.name}")
        session.later(self.name, lambda: CALLS.append(f"undo {self.name}"))


CALLS: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def step(*expected: Expected, do: tuple[Action, ...] = (), within: float = 5.0, name: str = "step") -> Step:
    return Step(name, do, tuple(map(Item, expected)), within=within)


def run(*steps: Step, told: list[Checked] | None = None) -> list[Checked]:
    told = [] if told is None else told
    with Run(LAB, Checks(steps), tell=told.append) as checks:
        return checks.all()


def result(expected: Expected, *, within: float = 5.0) -> Result:
    (checked,) = run(step(expected, within=within))
    return checked.result


def test_expectation_that_is_met_held() -> None:
    found = result(Seen())
    assert (found.verdict, found.seen, found.evidence, found.cause) == (Verdict.HELD, "true", ("a line",), "")
    assert 0 <= found.after < 5


def test_expectation_that_is_never_met_does_not_hold_and_has_its_cause() -> None:
    found = result(Seen(true_after=1e6), within=0.2)
    assert (found.verdict, found.seen, found.cause, found.logs) == (
        Verdict.FAILED,
        "false",
        "because",
        Path("/logs"),
    )
    assert found.after >= 0.2


@pytest.mark.parametrize(
    ("watched", "verdict", "seen"),
    [
        (True, Verdict.LATE, "up"),
        # It may have been true in time, before the first look.
        (False, Verdict.CANNOT_TELL, "up; first looked after the deadline, at 6.0 s"),
    ],
)
def test_expectation_that_is_met_after_its_deadline_is_late_if_it_was_watched_before(
    watched: bool, verdict: Verdict, seen: str
) -> None:
    unmet = Unmet("hq", "it", late=True, watched=watched, seen="up", observed=True, after=6.0)
    found = failed(ExpectationFailed("late", unmet), Start(0.0, within=5))
    assert (found.verdict, found.seen, found.after, found.cause) == (verdict, seen, 6.0, "")


def test_expectation_seen_first_after_its_deadline_cannot_be_told() -> None:
    found = Seen().check(LAB, Start(time.monotonic() - 60, within=55))
    assert (found.verdict, "first looked after the deadline" in found.seen) == (Verdict.CANNOT_TELL, True)


def test_observation_that_fails_cannot_be_told() -> None:
    found = result(Seen(error="no answer from bgpd"), within=0.1)
    assert (found.verdict, found.seen) == (Verdict.CANNOT_TELL, "no answer from bgpd")


def test_expectation_that_cannot_be_observed_at_all_cannot_be_told() -> None:
    found = result(Seen(broken=True))
    assert (found.verdict, found.seen) == (Verdict.CANNOT_TELL, "it cannot be looked at")


def test_own_deadline_replaces_that_of_the_step() -> None:
    deadlines = []

    class Noting(Seen):
        def check(self, lab: Lab, start: Start) -> Result:
            deadlines.append(start.within)
            return super().check(lab, start)

    (one, other) = run(step(Noting(within=7), Noting(), within=20))
    assert sorted(deadlines) == [7, 20]
    assert (one.within, other.within) == (7, 20)


def test_expectations_of_a_step_are_watched_side_by_side() -> None:
    together = Barrier(10)

    class Together(Seen):
        def check(self, lab: Lab, start: Start) -> Result:
            together.wait(timeout=30)  # until all ten are here
            return super().check(lab, start)

    found = run(step(*(Together(what=str(number)) for number in range(10)), within=30))
    assert [checked.result.verdict for checked in found] == [Verdict.HELD] * 10
    assert [checked.what for checked in found] == [str(number) for number in range(10)]


def test_results_are_told_when_they_are_decided_and_returned_in_order() -> None:
    told: list[Checked] = []
    found = run(step(Last(what="last"), Seen(what="slow", true_after=0.3), Seen(what="fast")), told=told)
    assert [checked.what for checked in told] == ["fast", "slow", "last"]
    assert [checked.what for checked in found] == ["last", "slow", "fast"]


def test_deadline_counts_from_the_step_also_for_those_that_are_observed_last() -> None:
    (slow, last) = run(step(Seen(true_after=0.3), Last(), within=30))
    assert last.result.good
    assert last.result.after >= slow.result.after >= 0.3


def test_changes_are_undone_at_the_end_the_latest_first() -> None:
    run(step(do=(Act(name="a"), Act(name="b"))), step(Seen(), do=(Act(name="c"),)))
    assert CALLS == ["do a", "do b", "do c", "undo c", "undo b", "undo a"]


def test_failed_action_ends_the_run_and_undoes_what_was_done() -> None:
    found = run(
        step(Seen(), do=(Act(name="a"),), name="one"),
        step(Seen(), do=(Act(name="b", fails=True), Act(name="c")), name="two"),
        step(Seen(), do=(Act(name="d"),), name="three"),
    )
    assert [(checked.step, checked.kind, checked.result.verdict) for checked in found] == [
        ("one", "seen", Verdict.HELD),
        ("two", "act", Verdict.FAILED),
        ("two", "seen", Verdict.CANNOT_TELL),
        ("three", "seen", Verdict.CANNOT_TELL),
    ]
    assert found[-1].result.seen == "not tried: b: exit code 1"
    assert CALLS == ["do a", "undo a"]


def test_change_that_cannot_be_undone_is_an_error_and_the_others_are_undone() -> None:
    class Stuck(Act):
        def run(self, session: Session) -> None:
            def fail() -> None:
                raise EnvironmentBroken("the node is gone")

            session.later("a fault", fail)

    with pytest.raises(EnvironmentBroken, match=r"^lab paper: not undone: a fault: the node is gone$"):
        run(step(do=(Act(name="a"), Stuck(name="b"), Act(name="c"))))
    assert CALLS == ["do a", "do c", "undo c", "undo a"]


def test_step_is_run_once_with_those_before_it() -> None:
    steps = tuple(step(Seen(what=name), do=(Act(name=name),), name=name) for name in "abc")
    with Run(LAB, Checks(steps)) as checks:
        assert [checked.what for checked in checks.step(1)] == ["b"]
        assert [checked.what for checked in checks.step(0)] == ["a"]
        assert CALLS == ["do a", "do b"]
    assert CALLS == ["do a", "do b", "undo b", "undo a"]


def test_error_of_the_program_itself_is_raised() -> None:
    class Wrong(Seen):
        def check(self, lab: Lab, start: Start) -> Result:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(step(Wrong(), do=(Act(name="a"),)))
    assert CALLS == ["do a", "undo a"]
