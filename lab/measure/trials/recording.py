"""A run in its directory: what is recorded of a plan, and what is missing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lab.core.errors import InputError
from lab.measure.record import RUN_FILE, Environment, Run, RunDirectory, Trial
from lab.measure.shard import WHOLE, Shard
from lab.measure.trials.attempt import short_name
from lab.measure.trials.bed import build
from lab.measure.trials.forecast import seconds_of
from lab.measure.trials.ledger import Ledger
from lab.measure.trials.plan import Block, Facts, Plan, Setting, Task, settings
from lab.measure.trials.site import path_of, roles
from lab.render.graph import svg
from lab.topology import Topology


def plan_settings(plan: Plan, shard: Shard = WHOLE) -> list[Setting]:
    """Return the plan's settings with the blocks of a shard; deploys nothing.

    Raises `InputError` if a bed, a fault or an event is impossible, or the shard has no block.
    """
    everything = Facts(two_paths=True, tcp=False)
    names = [topology for part in plan.parts for topology in part.topologies]
    facts: dict[str, Facts] = dict.fromkeys(names, everything)
    for setting in settings(plan, dict(facts)):
        for bed in setting.beds:
            build(bed, "check")
            parts = roles(bed)
            facts[bed.topology] = Facts(parts.two_paths, parts.tcp)
    found = settings(plan, facts)
    measured = [(setting.plan, task.event.name) for setting in found for task in setting.tasks]
    for setting in found:
        for bed in setting.beds:
            path = path_of(build(bed, "check"), roles(bed))
            for event in {task.event for task in setting.tasks if task.bed == bed and task.event.act == "fault"}:
                event.fault_on(path)
    for part in plan.parts:
        asked = part.events if "events" in part.model_fields_set else ()
        if never := [event for event in asked if (part, event) not in measured]:
            where = f"{', '.join(part.topologies)} with {', '.join(part.detectors)}"
            raise InputError(f"{plan.name}: events: {never[0]!r} is impossible in {where}: leave it out")
    chosen = settings(plan, facts, shard)
    if found and not chosen:
        blocks = sum(len(setting.blocks) for setting in found)
        raise InputError(f"{plan.name} has {blocks} blocks: shard {shard} has none of them; choose fewer shards")
    return chosen


class Recording:
    """A run of a plan, or of a shard of it, that writes its records."""

    def __init__(self, plan: Plan, directory: Path, shard: Shard = WHOLE) -> None:
        self.plan, self.shard = plan, shard
        self.settings = plan_settings(plan, shard)
        self.ledger = Ledger()
        self._directory = RunDirectory(directory)
        self._run: Run | None = None

    def resume(self) -> None:
        """Read the trials of an interrupted run; raises `InputError` if it is one of another plan or shard."""
        self._run = earlier = self._directory.run()
        path = self._directory.path
        # With the defaults of keys that the plan's version did not have.
        if Plan.parse(earlier.plan, str(path / RUN_FILE)) != self.plan:
            raise InputError(f"{path} has a run of another plan: choose another directory with --out")
        if earlier.shard != str(self.shard):
            raise InputError(f"{path} has shard {earlier.shard} of the plan: choose another directory with --out")
        self._directory.drop_partial_line()
        self.ledger = Ledger(self._directory.trials())

    def begin(self, machine: str, environment: Environment, machines: int = 1) -> None:
        """Create the directory with a run's description, or add a machine to it."""
        run = self._run
        if run is None:
            self._run = Run(
                name=self.plan.name,
                started=datetime.now(UTC),
                plan=self.plan.model_dump(mode="json", by_alias=True),
                seed=self.plan.seed,
                shard=str(self.shard),
                environment=environment,
                machines={machine: environment},
                topologies={short_name(topology): svg(topology) for topology in self._topologies()},
                expected=seconds_of(self.settings, machines),
            )
            self._directory.create(self._run)
        elif run.machines.get(machine) != environment:
            self._run = run.model_copy(update={"machines": {**run.machines, machine: environment}})
            self._directory.replace(self._run)

    @property
    def machines(self) -> dict[str, Environment]:
        """The machines of the run so far."""
        return dict(self._run.machines) if self._run else {}

    def record(self, trial: Trial) -> None:
        """Write an attempt that `ledger` has entered."""
        self._directory.append(trial)

    def missing(self, setting: Setting, block: Block) -> list[Task]:
        """Return the tasks of a block that are not done."""
        return self.ledger.missing(block, setting.plan)

    def restart(self, block: Block) -> None:
        """Put the attempts of a block aside, which runs again from its beginning, perhaps on another machine."""
        if keys := self.ledger.forget(block):
            self._directory.put_aside(keys)

    def left(self) -> list[Setting]:
        """Return the settings with what is missing of their blocks."""
        found = []
        for setting in self.settings:
            blocks = [replace(block, tasks=tuple(self.missing(setting, block))) for block in setting.blocks]
            if missing := tuple(block for block in blocks if block.tasks):
                found.append(replace(setting, blocks=missing))
        return found

    def _topologies(self) -> Iterator[Topology]:
        """Return each topology once, as its first bed has it."""
        beds = {bed.topology: bed for setting in reversed(self.settings) for bed in reversed(setting.beds)}
        for bed in beds.values():
            yield build(replace(bed, over="tunnel"), "drawing")


def count_of(settings: list[Setting]) -> int:
    """Return the number of events in the blocks of settings."""
    return sum(len(block.tasks) for setting in settings for block in setting.blocks)
