"""Run checks in a lab: the steps in order, the expectations of a step side by side."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from queue import Empty, Queue
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lab.check.actions.prefixes import Announce, Withdraw
from lab.check.logs import log_sizes
from lab.check.model import Action, Checked, Checks, Item, Measure, Result, Start, Step, Verdict
from lab.check.relations import Relation
from lab.check.relations import parse as parse_relation
from lab.check.session import Session, session
from lab.check.waiting import unobserved
from lab.core.errors import LabError
from lab.core.prefixes import Prefix
from lab.runtime.lab import Lab

if TYPE_CHECKING:
    from lab.measure.instrument.measurement import Measurement

_WORKERS = 32
"""The most expectations that are observed at once."""

Tell = Callable[[Checked], object]
"""Called with each result when it is decided."""
Begin = Callable[[Step], object]
"""Called with each step before its actions."""


def _nothing(_: Any) -> None:
    pass


@dataclass
class Run:
    """Checks in a lab. The end of the `with` block undoes what the steps have changed."""

    lab: Lab
    checks: Checks
    tell: Tell = _nothing
    begin: Begin = _nothing
    done: list[tuple[Checked, ...]] = field(default_factory=list)
    """The results of the steps so far, each in the file's order."""
    broken: str = ""
    """Why no further step is run: an action failed."""

    def __enter__(self) -> Self:
        self._figures: dict[tuple[str, str], float] = {}
        self._stack = ExitStack()
        self._session: Session = self._stack.enter_context(session(self.lab))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def all(self) -> list[Checked]:
        """Run all steps and return all results."""
        return [checked for number in range(len(self.checks.steps)) for checked in self.step(number)]

    def step(self, number: int) -> tuple[Checked, ...]:
        """Return the results of a step, counted from 0; it and those before it are run, each once."""
        while len(self.done) <= number:
            self.done.append(self._run(self.checks.steps[len(self.done)]))
        return self.done[number]

    def _run(self, step: Step) -> tuple[Checked, ...]:
        self.begin(step)
        sizes = log_sizes(self.lab) if step.actions else None
        found: list[Checked] = []
        if not self.broken:
            found += self._act(step)
        if self.broken:
            skipped = Result(Verdict.CANNOT_TELL, f"not tried: {self.broken}", 0.0)
            found += [self._told(_checked(step, item, skipped)) for item in step.items]
            return tuple(found)
        start = Start(time.monotonic(), step.within, sizes)
        return (*found, *self._observe(step, start))

    # --- actions and measurements --------------------------------------------------------------------------

    def _act(self, step: Step) -> list[Checked]:
        """Run the actions of a step; return the failed one, or the results of the measurement."""
        if step.measure is None:
            return self._run_actions(step)
        began, prefixes = time.monotonic(), _prefixes(step.actions)
        try:
            with self.lab.measure(step.measure.node, prefixes, within=step.within) as measurement:
                failed = self._run_actions(step)
        except LabError as error:
            result = Result(Verdict.CANNOT_TELL, str(error), time.monotonic() - began)
            return [self._told(_of_measure(step, step.measure, "measured", result))]
        return failed or self._relations(step, step.measure, measurement)

    def _run_actions(self, step: Step) -> list[Checked]:
        for action in step.actions:
            began = time.monotonic()
            try:
                action.run(self._session)
            except LabError as error:
                self.broken = f"{action}: {error}"
                result = Result(Verdict.FAILED, str(error), time.monotonic() - began)
                return [self._told(_of_action(step, action, result))]
        return []

    def _relations(self, step: Step, measure: Measure, found: "Measurement") -> list[Checked]:
        """Return the results of a measurement: its stages, and each relation."""
        seconds: dict[tuple[str, str], float] = {("", stage.name): stage.at for stage in found.stages}
        self._figures |= {(measure.name, stage): at for (_, stage), at in seconds.items() if measure.name}
        stages = ", ".join(f"{stage.name} {stage.at * 1000:.1f} ms" for stage in found.stages)
        after = found.stages[-1].at if found.stages else 0.0
        valid = Result(
            Verdict.HELD if found.valid else Verdict.CANNOT_TELL,
            stages if found.valid else found.reason,
            after,
            evidence=tuple(
                f"{stage.name}: {stage.at:.6f} s at {stage.node} ({stage.source})" for stage in found.stages
            ),
        )
        results = [self._told(_of_measure(step, measure, "measured", valid, found.as_dict()))]
        for text in measure.relations:
            relation = parse_relation(text, {name for name, _ in self._figures})
            result = _compared(relation, {**self._figures, **seconds}, found, after)
            results.append(self._told(_of_measure(step, measure, str(relation), result)))
        return results

    # --- expectations --------------------------------------------------------------------------------------

    def _observe(self, step: Step, start: Start) -> Iterator[Checked]:
        """Yield the results of a step's expectations in the file's order, once all are decided."""
        found: dict[int, Checked] = {}
        numbered = list(enumerate(step.items))
        for last in (False, True):
            items = [(number, item) for number, item in numbered if item.expected.last is last]
            for number, result in _side_by_side(self.lab, items, start):
                found[number] = self._told(_checked(step, step.items[number], result))
        return (found[number] for number in sorted(found))

    def _told(self, checked: Checked) -> Checked:
        self.tell(checked)
        return checked


def _side_by_side(lab: Lab, items: Sequence[tuple[int, Item]], start: Start) -> Iterator[tuple[int, Result]]:
    """Observe expectations at the same time, so that each is watched from the start; yield results as they come.

    The threads are not waited for if the caller is interrupted.
    """
    todo: Queue[tuple[int, Item]] = Queue()
    done: Queue[tuple[int, Result] | BaseException] = Queue()

    def work() -> None:
        with suppress(Empty):
            while True:
                number, item = todo.get_nowait()
                try:
                    done.put((number, _check(lab, item, start)))
                except BaseException as error:  # raised in the caller's thread
                    done.put(error)

    for each in items:
        todo.put(each)
    for _ in range(min(_WORKERS, len(items))):
        Thread(target=work, name="check", daemon=True).start()
    for _ in items:
        result = done.get()
        if isinstance(result, BaseException):
            raise result
        yield result


def _check(lab: Lab, item: Item, start: Start) -> Result:
    limited = start.limited(item.expected.within)
    try:
        return item.expected.check(lab, limited)
    except LabError as error:
        return unobserved(error, limited)


def _compared(
    relation: Relation, seconds: Mapping[tuple[str, str], float], found: "Measurement", after: float
) -> Result:
    if not found.valid:
        return Result(Verdict.CANNOT_TELL, found.reason, after)
    if missing := [".".join(filter(None, need)) for need in relation.needs if need not in seconds]:
        return Result(Verdict.CANNOT_TELL, f"not measured: {', '.join(missing)}", after)
    shown = {".".join(filter(None, need)): seconds[need] for need in relation.needs}
    seen = ", ".join(f"{name} {at * 1000:.1f} ms" for name, at in shown.items())
    return Result(Verdict.HELD if relation.holds(seconds) else Verdict.FAILED, seen, after)


def _prefixes(actions: Sequence[Action]) -> frozenset[Prefix]:
    return frozenset(p for action in actions if isinstance(action, Announce | Withdraw) for p in action.prefixes)


def _checked(step: Step, item: Item, result: Result) -> Checked:
    within = step.within if item.expected.within is None else item.expected.within
    at = item.place
    return Checked(
        step=step.name,
        kind=item.expected.kind,
        what=str(item.expected),
        place=item.expected.place,
        result=result,
        file=at.file if at else None,
        line=at.line if at else None,
        within=within,
    )


def _of_action(step: Step, action: Action, result: Result) -> Checked:
    at = step.place
    return Checked(
        step.name, action.kind, str(action), "", result, at.file if at else None, at.line if at else None, step.within
    )


def _of_measure(
    step: Step, measure: Measure, what: str, result: Result, extra: Mapping[str, object] | None = None
) -> Checked:
    at = step.measure_place
    return Checked(
        step=step.name,
        kind="measure",
        what=what,
        place=measure.node,
        result=result,
        file=at.file if at else None,
        line=at.line if at else None,
        within=step.within,
        extra=extra or {},
    )
