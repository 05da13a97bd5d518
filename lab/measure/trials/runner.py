"""Runs a plan: deploys beds, causes and measures events, and records each trial as it ends."""

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from lab.core.errors import EnvironmentBroken, InputError, LabError
from lab.core.outcome import Outcome
from lab.core.process import this_process
from lab.core.progress import Say
from lab.engine import Engine, open_engine
from lab.fault import apply
from lab.measure.instrument.measurement import Measurement
from lab.measure.record import RUN_FILE, Run, RunDirectory, Trial, Variant
from lab.measure.trials.bed import build
from lab.measure.trials.environment import ForeignLoad, environment
from lab.measure.trials.plan import Bed, Block, Facts, Plan, Task, blocks, expected_seconds, variants_of
from lab.measure.trials.site import TrialSite, path_of, roles
from lab.render.graph import svg
from lab.runtime.lab import Lab
from lab.runtime.owner import sweep
from lab.topology import Topology

DEPLOYED = 6.0
"""Seconds to deploy and to destroy a bed."""
_TRIES = 3
"""Failed trials in a row that end a run: a fresh deployment does not help then."""


@dataclass(frozen=True)
class Progress:
    """The progress of a run."""

    done: int
    total: int
    left: float
    """Seconds left, by the ratio of the time so far to the predicted one; deployments included."""
    current: str


Watch = Callable[[Progress], None]


def plan_blocks(plan: Plan) -> list[Block]:
    """Return the plan's blocks; raises `InputError` if a bed, a fault or an event is impossible. Deploys nothing."""
    everything = Facts(two_paths=True, tcp=False)
    names = [topology for part in plan.parts for topology in part.topologies]
    facts: dict[str, Facts] = dict.fromkeys(names, everything)
    for block in blocks(plan, dict(facts)):
        for bed in block.beds:
            build(bed, "check")
            parts = roles(bed)
            facts[bed.topology] = Facts(parts.two_paths, parts.tcp)
    found = blocks(plan, facts)
    measured = [(block.plan, task.event.name) for block in found for task in block.tasks]
    for block in found:
        for bed in block.beds:
            path = path_of(build(bed, "check"), roles(bed))
            for event in {task.event for task in block.tasks if task.bed == bed and task.event.act == "fault"}:
                event.fault_on(path)
    for part in plan.parts:
        asked = part.events if "events" in part.model_fields_set else ()
        if never := [event for event in asked if (part, event) not in measured]:
            where = f"{', '.join(part.topologies)} with {', '.join(part.detectors)}"
            raise InputError(f"{plan.name}: events: {never[0]!r} is impossible in {where}: leave it out")
    return found


def seconds_of(blocks: Sequence[Block]) -> float:
    """Return how long a whole plan will take."""
    return sum(seconds_of_tasks(block.tasks) for block in blocks)


def seconds_of_tasks(tasks: Sequence[Task]) -> float:
    """Return how long tasks of one block will take, with the deployment of their beds."""
    return expected_seconds(tasks) + DEPLOYED * len({task.bed for task in tasks})


def left_of(plan: Plan, directory: Path) -> tuple[int, float]:
    """Return the number of events that an interrupted run lacks, and the seconds that they will take."""
    runner = _Runner(plan, RunDirectory(directory), print, lambda _: None)
    runner.resume()
    missing = [runner.missing(block) for block in runner.blocks]
    return sum(1 for tasks in missing for task in tasks if task.number), sum(map(seconds_of_tasks, missing))


def run(plan: Plan, directory: Path, *, resume: bool = False, say: Say = print, watch: Watch = lambda _: None) -> None:
    """Measure a plan into a directory; with `resume` only the trials that are missing there.

    Raises `InputError` if the directory has a run of another plan, `EnvironmentBroken` if several trials in a row
    fail. In any case the labs are destroyed, and the recorded trials stay.
    """
    runner = _Runner(plan, RunDirectory(directory), say, watch)
    if resume:
        runner.resume()
    runner.look_ahead()
    engine = open_engine()
    sweep(engine)
    for block in runner.blocks:
        if runner.missing(block):
            runner.measure(block, engine)


class _Runner:
    def __init__(self, plan: Plan, directory: RunDirectory, say: Say, watch: Watch) -> None:
        self._plan, self._directory, self._say, self._watch = plan, directory, say, watch
        self.blocks = plan_blocks(plan)
        self._done: set[tuple[Variant, int]] = set()
        self._tried: Counter[tuple[Variant, int]] = Counter()
        self._begun = False
        self._spent = self._expected = 0.0
        self._beds = 0
        self._names: dict[Bed, tuple[str, str]] = {}
        self._count = self._total = 0
        self._ahead = 0.0

    def resume(self) -> None:
        """Read the trials of an interrupted run."""
        earlier = self._directory.run()
        # With the defaults of keys that the plan's version did not have.
        if Plan.parse(earlier.plan, str(self._directory.path / RUN_FILE)) != self._plan:
            raise InputError(f"{self._directory.path} has a run of another plan: choose another directory with --out")
        self._directory.drop_partial_line()
        for trial in self._directory.trials():
            self._count_attempt(trial)
        self._begun = True

    def look_ahead(self) -> None:
        """Count the tasks that are left, and predict their time."""
        by_block = [self.missing(block) for block in self.blocks]
        left = [task for tasks in by_block for task in tasks]
        self._ahead = sum(map(seconds_of_tasks, by_block))
        self._total = sum(1 for block in self.blocks for task in block.tasks if task.number)
        self._count = self._total - sum(1 for task in left if task.number)

    def missing(self, block: Block) -> list[Task]:
        """Return the tasks that are not recorded yet; warm-ups only together with others."""
        left = [task for task in block.tasks if task.number and not self._is_done(task, block.plan)]
        return [task for task in block.tasks if not task.number] + left if left else []

    def measure(self, block: Block, engine: Engine) -> None:
        """Deploy a block's beds side by side, and run its tasks."""
        tasks = self.missing(block)
        beds = [bed for bed in block.beds if any(task.bed == bed for task in tasks)]
        with ExitStack() as stack:
            count = block.plan.prefixes
            sites = {bed: stack.enter_context(self._deployed(bed, engine, count)) for bed in beds}
            self._ahead -= DEPLOYED * len(beds)
            if not self._begun:
                self._begin(list(sites.values()), engine)
            load = ForeignLoad([site.lab for site in sites.values()])
            failures = 0
            queue = deque(tasks)
            while queue:
                task = queue.popleft()
                self._report(task)
                began = time.monotonic()
                load()
                try:
                    trials = _Trial(sites[task.bed], task, block.plan).run(load)
                    failures = 0
                except LabError as error:
                    _raise_if_interrupted(error)
                    failures += 1
                    trials = [_failed(variant, task, str(error)) for variant in self._variants(task)]
                    if failures >= _TRIES:
                        raise EnvironmentBroken(f"{failures} trials in a row failed: {error}") from error
                    self._say(f"{task.event.name}: {error}; deploying its lab again")
                    sites[task.bed].lab.destroy()
                    sites[task.bed] = stack.enter_context(self._deployed(task.bed, engine, count))
                    load = ForeignLoad([site.lab for site in sites.values()])
                for trial in trials if task.number else ():
                    self._record(trial)
                self._count_time(task.event.expected_seconds(task.bed.detector), time.monotonic() - began)
                if task.number and not self._is_done(task, block.plan):
                    _again(task, queue)
                    self._ahead += task.event.expected_seconds(task.bed.detector)
                else:
                    self._count += bool(task.number)

    @contextmanager
    def _deployed(self, bed: Bed, engine: Engine, prefixes: int) -> Iterator[TrialSite]:
        self._beds += 1
        parts = roles(bed)
        topology = build(bed, f"measure-{os.getpid()}-{self._beds}")
        self._say(f"deploying {bed.topology} over {bed.mode or bed.over}, {bed.detector}")
        lab = Lab.deploy(topology, engine=engine, owner=this_process())
        try:
            yield TrialSite(lab, bed, parts, prefixes)
        finally:
            lab.destroy()

    def _begin(self, sites: Sequence[TrialSite], engine: Engine) -> None:
        self._directory.create(
            Run(
                name=self._plan.name,
                started=datetime.now(UTC),
                plan=self._as_data(),
                seed=self._plan.seed,
                environment=environment([site.lab for site in sites], engine),
                topologies={_short(topology): svg(topology) for topology in self._topologies()},
                expected=seconds_of(self.blocks),
            )
        )
        self._begun = True

    def _topologies(self) -> Iterator[Topology]:
        """Return each topology once, as its first bed has it."""
        beds = {bed.topology: bed for block in reversed(self.blocks) for bed in reversed(block.beds)}
        for bed in beds.values():
            yield build(replace(bed, over="tunnel"), "drawing")

    def _as_data(self) -> dict[str, object]:
        return self._plan.model_dump(mode="json", by_alias=True)

    def _variants(self, task: Task) -> tuple[Variant, ...]:
        bed = task.bed
        if bed not in self._names:
            topology = build(bed, "variant")
            self._names[bed] = (topology.tunnels[0].mode if topology.tunnels else "", _short(topology))
        return variants_of(task, *self._names[bed])

    def _record(self, trial: Trial) -> None:
        """Record an attempt of a trial that has no valid one yet."""
        key = trial.variant, trial.number
        if key not in self._done:
            trial = trial.model_copy(update={"attempt": self._tried[key] + 1})
            self._directory.append(trial)
            self._count_attempt(trial)

    def _count_attempt(self, trial: Trial) -> None:
        key = trial.variant, trial.number
        self._tried[key] += 1
        if trial.status != "invalid":
            self._done.add(key)

    def _is_done(self, task: Task, plan: Plan) -> bool:
        """Return whether each trial of a task is valid, has timed out, or was tried as often as the plan says."""
        keys = [(variant, task.number) for variant in self._variants(task)]
        return all(key in self._done or self._tried[key] >= plan.attempts for key in keys)

    def _report(self, task: Task) -> None:
        pace = self._spent / self._expected if self._expected else 1.0
        current = f"{task.event.name}, {task.bed.detector}, {task.family}, {task.bed.mode or task.bed.over}"
        self._watch(Progress(self._count, self._total, pace * self._ahead, current))

    def _count_time(self, expected: float, seconds: float) -> None:
        """Add the time of a task, to predict the time left."""
        self._spent += seconds
        self._expected += expected
        self._ahead -= expected


class _Trial:
    """One task: announce the prefix, cause and measure the event, and undo it."""

    def __init__(self, site: TrialSite, task: Task, plan: Plan) -> None:
        self._site, self._task, self._plan = site, task, plan
        self._prefixes = site.prefixes[task.family]
        self._two_paths = site.roles.two_paths

    def run(self, load: ForeignLoad) -> list[Trial]:
        """Return the trial of the event and, if it lasts, that of the recovery."""
        site, event = self._site, self._task.event
        variants = variants_of(self._task, site.mode, _short(site.lab.topology))
        outcome = event.expected_outcome(two_paths=self._two_paths)
        trials: list[Trial] = []
        with ExitStack() as undo:
            if event.act != "announce":
                self._announce()
            measured = self._measurement(outcome)
            started = datetime.now(UTC)
            with measured:
                recover = self._cause(undo)
            trials.append(_as_trial(variants[0], self._task, started, measured, load()))
            if event.recovers:
                outcome = event.expected_outcome_of_recovery(two_paths=self._two_paths)
                measured = self._measurement(outcome, recovery=True)
                started = datetime.now(UTC)
                with measured:
                    recover()
                trials.append(_as_trial(variants[1], self._task, started, measured, load()))
        self._clear()  # after an error the lab is not used again
        return trials

    def _measurement(self, outcome: Outcome, *, recovery: bool = False) -> Measurement:
        site = self._site
        return site.lab.measure(
            site.observer,
            self._prefixes,
            probe_from=site.asking,
            probe_to=site.answering,
            rate=self._plan.rate,
            until=outcome,
            within=self._plan.within,
            recovery=recovery,
        )

    def _cause(self, undo: ExitStack) -> Callable[[], object]:
        """Cause the event; return the function that undoes it, which `undo` calls in any case."""
        site, event = self._site, self._task.event
        match event.act:
            case "announce":
                site.origin.announce(self._prefixes)
            case "withdraw":
                site.origin.withdraw(self._prefixes)
            case "worsen" | "next-hop":
                med, hop = (
                    (100, None) if event.act == "worsen" else (None, site.roles.other_next_hop[self._task.family])
                )
                site.origin.announce(self._prefixes, med=med, next_hop=hop, through=site.first_path)
                back = partial(site.origin.clear_attributes, self._prefixes, through=site.first_path)
                undo.callback(back)
                return back
            case "fault":
                fault = apply(site.lab, event.fault_on(site.path))
                undo.callback(fault.undo)
                return fault.undo
        return lambda: None

    def _announce(self) -> None:
        """Announce the prefixes, and wait until traffic flows to them."""
        site = self._site
        site.origin.announce(self._prefixes)
        site.observer.expect_route(self._prefixes)
        for address in site.addresses[self._task.family]:
            site.asking.expect_reaches(address)

    def _clear(self) -> None:
        """Wait for all sessions, and withdraw the prefixes."""
        site = self._site
        site.lab.wait_ready()
        originated = site.origin.daemon.originated(site.origin.running, self._task.family)
        if left := [prefix for prefix in self._prefixes if prefix in originated]:
            site.origin.withdraw(left)
        site.observer.expect_no_route(self._prefixes)


def _again(task: Task, queue: deque[Task]) -> None:
    """Put a task at the end of its round: its values stay beside those of the same number."""
    place = next((n for n, other in enumerate(queue) if other.number != task.number), len(queue))
    queue.insert(place, task)


def _raise_if_interrupted(error: BaseException) -> None:
    """Raise a KeyboardInterrupt among the causes of an error: Ctrl-C may make other calls fail first."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            raise cause
        cause = cause.__cause__ or cause.__context__


def _as_trial(variant: Variant, task: Task, started: datetime, measured: Measurement, load: float) -> Trial:
    return Trial(
        variant=variant,
        number=task.number,
        started=started,
        status=measured.status,
        reason=measured.reason,
        stages=measured.stages,
        data_plane=measured.data_plane,
        timeline=measured.timeline,
        flags=measured.flags,
        foreign_load=load,
    )


def _failed(variant: Variant, task: Task, why: str) -> Trial:
    reason = f"the trial failed: {why}"
    return Trial(variant=variant, number=task.number, started=datetime.now(UTC), status="invalid", reason=reason)


def _short(topology: Topology) -> str:
    """Return the name of a topology for a report, from its file."""
    return topology.file.name.removesuffix(".clab.yml")
