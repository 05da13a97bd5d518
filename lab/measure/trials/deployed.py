"""The deployed beds of a setting, in which one block after another is measured."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Self

from lab.core.errors import EnvironmentBroken, LabError
from lab.core.process import this_process
from lab.core.progress import Say
from lab.engine import Engine
from lab.measure.record import Environment, Trial
from lab.measure.trials.attempt import Attempt, failed_trial
from lab.measure.trials.bed import build
from lab.measure.trials.environment import ForeignLoad, environment
from lab.measure.trials.ledger import Ledger
from lab.measure.trials.plan import Bed, Plan, Task
from lab.measure.trials.site import TrialSite, roles
from lab.runtime.lab import Lab

_TRIES = 3
"""Failed trials in a row that end a run: a fresh deployment does not help then."""
_numbers = count(1)
"""Tells the labs of this process apart."""


@dataclass(frozen=True)
class Ended:
    """The end of a task."""

    task: Task
    trials: tuple[Trial, ...]
    """The attempts to record; none of a warm-up."""
    seconds: float
    again: bool
    """It is tried again at the end of its block."""


class DeployedBeds:
    """Beds that run side by side, from `with` on."""

    def __init__(self, beds: Sequence[Bed], plan: Plan, engine: Engine, *, machine: str, say: Say) -> None:
        self._beds, self._plan, self._engine, self._machine, self._say = beds, plan, engine, machine, say
        self._stack = ExitStack()
        self._sites: dict[Bed, TrialSite] = {}
        self._failures = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._sites = {bed: stack.enter_context(self._deployed(bed)) for bed in self._beds}
            self._load = self._load_of_others()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def environment(self) -> Environment:
        """Return the environment of these beds."""
        return environment([site.lab for site in self._sites.values()], self._engine)

    def measure(self, tasks: Iterable[Task], ledger: Ledger, before: Callable[[Task], None]) -> Iterator[Ended]:
        """Run tasks in their order, an invalid one again at the end of its block.

        `before` is called before each. Raises `EnvironmentBroken` if several trials in a row fail.
        """
        queue = deque(tasks)
        while queue:
            task = queue.popleft()
            before(task)
            began = time.monotonic()
            trials = [trial.model_copy(update={"machine": self._machine}) for trial in self._try(task, ledger)]
            entered = [done for trial in trials if task.number and (done := ledger.enter(trial))]
            again = bool(task.number) and not ledger.is_done(task, self._plan)
            if again:
                _put_last(task, queue)
            yield Ended(task, tuple(entered), time.monotonic() - began, again)

    def _try(self, task: Task, ledger: Ledger) -> list[Trial]:
        self._load()
        try:
            trials = Attempt(self._sites[task.bed], task, self._plan).run(self._load)
        except LabError as error:
            _raise_if_interrupted(error)
            self._failures += 1
            if self._failures >= _TRIES:
                raise EnvironmentBroken(f"{self._failures} trials in a row failed: {error}") from error
            self._say(f"{task.event.name}: {error}; deploying its lab again")
            self._sites[task.bed].lab.destroy()
            self._sites[task.bed] = self._stack.enter_context(self._deployed(task.bed))
            self._load = self._load_of_others()
            return [failed_trial(variant, task, str(error)) for variant in ledger.variants(task)]
        self._failures = 0
        return trials

    def _load_of_others(self) -> ForeignLoad:
        return ForeignLoad([site.lab for site in self._sites.values()])

    @contextmanager
    def _deployed(self, bed: Bed) -> Iterator[TrialSite]:
        parts = roles(bed)
        topology = build(bed, f"measure-{os.getpid()}-{next(_numbers)}")
        self._say(f"deploying {bed.topology} over {bed.mode or bed.over}, {bed.detector}")
        lab = Lab.deploy(topology, engine=self._engine, owner=this_process())
        try:
            yield TrialSite(lab, bed, parts, self._plan.prefixes)
        finally:
            lab.destroy()


def _put_last(task: Task, queue: deque[Task]) -> None:
    """Put a task at the end of its block: its values stay beside those of the same number."""
    place = next((n for n, other in enumerate(queue) if other.number != task.number), len(queue))
    queue.insert(place, task)


def _raise_if_interrupted(error: BaseException) -> None:
    """Raise a KeyboardInterrupt among the causes of an error: Ctrl-C may make other calls fail first."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            raise cause
        cause = cause.__cause__ or cause.__context__
