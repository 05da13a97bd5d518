"""The attempts of trials that a run has recorded, and what its blocks lack."""

from collections import Counter
from collections.abc import Iterable

from lab.measure.record import Trial, Variant
from lab.measure.trials.attempt import short_name
from lab.measure.trials.bed import build
from lab.measure.trials.plan import Bed, Block, Plan, Task, variants_of


class Ledger:
    """Counts attempts: a trial is done once one of them was not invalid."""

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        self._done: set[tuple[Variant, int]] = set()
        self._tried: Counter[tuple[Variant, int]] = Counter()
        self._machines: dict[tuple[Variant, int], str] = {}
        self._names: dict[Bed, tuple[str, str]] = {}
        for trial in trials:
            self.count(trial)

    def enter(self, trial: Trial) -> Trial | None:
        """Return an attempt with its number; None if the trial has a valid one already."""
        key = trial.variant, trial.number
        if key in self._done:
            return None
        trial = trial.model_copy(update={"attempt": self._tried[key] + 1})
        self.count(trial)
        return trial

    def is_done(self, task: Task, plan: Plan) -> bool:
        """Return whether each trial of a task is valid, has timed out, or was tried as often as the plan says."""
        keys = self.keys_of(task)
        return all(key in self._done or self._tried[key] >= plan.attempts for key in keys)

    def missing(self, block: Block, plan: Plan) -> list[Task]:
        """Return the tasks of a block that are not done."""
        return [task for task in block.tasks if not self.is_done(task, plan)]

    def machines(self, block: Block) -> set[str]:
        """Return the names of the machines that have attempts of a block."""
        return {name for task in block.tasks for key in self.keys_of(task) if (name := self._machines.get(key))}

    def forget(self, block: Block) -> set[tuple[Variant, int]]:
        """Forget the attempts of a block, which runs again from its beginning; return the trials that had any."""
        keys = {key for task in block.tasks for key in self.keys_of(task) if self._tried.pop(key, 0)}
        self._done -= keys
        for key in keys:
            self._machines.pop(key, None)
        return keys

    def keys_of(self, task: Task) -> list[tuple[Variant, int]]:
        """Return variant and number of each trial of a task."""
        return [(variant, task.number) for variant in self.variants(task)]

    def variants(self, task: Task) -> tuple[Variant, ...]:
        """Return the variants that a task measures."""
        bed = task.bed
        if bed not in self._names:
            topology = build(bed, "variant")
            self._names[bed] = (topology.tunnels[0].mode if topology.tunnels else "", short_name(topology))
        return variants_of(task, *self._names[bed])

    def count(self, trial: Trial) -> None:
        """Count an attempt that has a number."""
        key = trial.variant, trial.number
        self._tried[key] += 1
        self._machines[key] = trial.machine
        if trial.status != "invalid":
            self._done.add(key)
