"""Runs a plan on a cluster: each block on one machine, alone on it, and its records here as they come."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cluster.job import Job, Message, Send
from lab.cluster.ship import Ship
from lab.core.errors import InputError
from lab.core.progress import Say
from lab.engine import open_engine
from lab.measure.machines import APART, difference_from
from lab.measure.record import Environment, Trial
from lab.measure.shard import WHOLE, Shard
from lab.measure.trials.bed import build
from lab.measure.trials.deployed import DeployedBeds
from lab.measure.trials.forecast import DEPLOYED, Pace, Progress, Watch, seconds_of, seconds_to_prepare
from lab.measure.trials.ledger import Ledger
from lab.measure.trials.plan import Block, Plan, Setting
from lab.measure.trials.recording import Recording, count_of, plan_settings
from lab.render.node_spec import images_of
from lab.runtime.owner import sweep

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = 120.0
"""Seconds by which a task may take longer than its deadlines, and a deployment than expected."""


def run_on_cluster(
    plan: Plan,
    directory: Path,
    client: "Client",
    *,
    shard: Shard = WHOLE,
    resume: bool = False,
    ship: Ship = Ship.CHECK,
    say: Say = print,
    watch: Watch = lambda _: None,
) -> None:
    """Measure a plan into a directory on the workers of a cluster; with `resume` only the blocks that are incomplete.

    A block whose machine is lost runs again on another one from its beginning, and what was recorded of it is put
    aside. Raises the same errors as `lab.measure.trials.runner.run`.
    """
    from lab.cluster.dispatch import dispatch
    from lab.cluster.job import Work

    recording = Recording(plan, directory, shard)
    if resume:
        recording.resume()
    left = recording.left()
    if not left:
        return
    numbers = [block.number for setting in left for block in setting.blocks]
    context = {"plan": plan.model_dump(mode="json", by_alias=True), "shard": str(shard), "first": numbers[0]}
    spread = _Spread(recording, left, count_workers(client), say, watch)
    jobs = [spread.job(number) for number in numbers]
    cargo = ship.cargo(_images(left), say)
    dispatch(client, jobs, Work("lab.measure.trials.spread:Blocks", context), spread, say, cargo=cargo)


def count_workers(client: "Client") -> int:
    """Return the number of workers that a cluster has now, at least one."""
    from lab.cluster.connect import workers_of

    return max(1, len(workers_of(client)))


# --- the caller -----------------------------------------------------------------------------------------------


class _Spread:
    """Records what machines measure."""

    def __init__(self, recording: Recording, left: Sequence[Setting], workers: int, say: Say, watch: Watch) -> None:
        self._recording, self._say, self._watch = recording, say, watch
        self._places = _places(recording.settings)
        self._workers = workers
        self._total = count_of(recording.settings)
        whole = [self._places[block.number][1] for setting in left for block in setting.blocks]
        self._before = self._total - sum(len(block.tasks) for block in whole)
        self._done: dict[int, int] = {}
        self._pace = Pace(seconds_of(left, workers) * workers)
        self._machines = recording.machines
        self._current: dict[str, str] = {}

    def job(self, number: int) -> Job:
        """Return the job of a block."""
        setting, block = self._places[number]
        longest = max(task.event.expected_seconds(task.bed.detector) for task in block.tasks)
        patience = _PATIENCE + 2 * setting.plan.within + longest + DEPLOYED * len(setting.beds)
        return Job(f"block {number}", {"block": number}, f"{self._recording.settings.index(setting)}", patience)

    def admit(self, machine: str, facts: Message) -> str:
        """Return in what a machine differs from the others, unless the plan sets such machines apart."""
        environment = Environment.model_validate(facts)
        if self._recording.plan.machines != APART and (
            why := difference_from(self._others(machine), machine, environment)
        ):
            return why
        self._machines[machine] = environment
        self._recording.begin(machine, environment, self._workers)
        return ""

    def begin(self, job: Job, machine: str) -> None:
        """Put aside what was recorded of a block."""
        number = job.order["block"]
        self._recording.restart(self._places[number][1])
        self._done[number] = 0

    def receive(self, job: Job, machine: str, message: Message) -> None:
        """Record trials."""
        if "environment" in message:
            if why := self.admit(machine, message["environment"]):
                raise InputError(f"{why}: `machines: apart` in the plan keeps such machines apart")
            self._pace.pass_by(seconds_to_prepare(self._places[job.order["block"]][0]))
        elif "task" in message:
            self._current[machine] = message["task"]
            self._report()
        else:
            for data in message["trials"]:
                trial = Trial.model_validate(data).model_copy(update={"machine": machine})
                self._recording.ledger.count(trial)
                self._recording.record(trial)
            self._pace.add(message["seconds"], expected=message["expected"])
            if message["counts"]:
                self._pace.pass_by(message["expected"])
                self._done[job.order["block"]] += 1

    def end(self, job: Job, machine: str) -> None:
        """Forget what the machine did."""
        self._current.pop(machine, None)

    def _others(self, machine: str) -> dict[str, Environment]:
        return {name: known for name, known in self._machines.items() if name != machine}

    def _report(self) -> None:
        done = self._before + sum(self._done.values())
        current = "; ".join(f"{machine}: {task}" for machine, task in sorted(self._current.items()))
        self._watch(Progress(done, self._total, self._pace.left / self._workers, current))


def _images(settings: Sequence[Setting]) -> Iterator[str]:
    """Yield the images of the beds of settings."""
    for bed in dict.fromkeys(bed for setting in settings for bed in setting.beds):
        yield from images_of(build(bed, "images"))


def _places(settings: Sequence[Setting]) -> dict[int, tuple[Setting, Block]]:
    return {block.number: (setting, block) for setting in settings for block in setting.blocks}


# --- the machine ----------------------------------------------------------------------------------------------


class Blocks:
    """Measures blocks on this machine; the beds of a setting stay deployed for the next block of it."""

    def __init__(self, context: Message) -> None:
        plan = Plan.parse(context["plan"], "the plan")
        self._places = _places(plan_settings(plan, Shard.parse(context["shard"])))
        self._engine = open_engine()
        sweep(self._engine)
        self._stack = ExitStack()
        self._setting: Setting | None = None
        self._first: int = context["first"]

    def facts(self) -> Message:
        """Return the environment of the first block's beds, which this deploys."""
        beds = self._deploy(self._places[self._first][0])
        self._is_warm = False
        return beds.environment().model_dump(mode="json")

    def do(self, order: Message, send: Send) -> None:
        """Measure a block, and send each task as it begins and ends."""
        setting, block = self._places[order["block"]]
        if setting != self._setting:
            self._deploy(setting)
            self._is_warm = False
        if not self._is_warm:
            send({"environment": self._beds.environment().model_dump(mode="json")})
        tasks = block.tasks if self._is_warm else (*setting.warm_up, *block.tasks)
        self._is_warm = True
        for ended in self._beds.measure(tasks, Ledger(), lambda task: send({"task": str(task)})):
            task = ended.task
            send(
                {
                    "trials": [trial.model_dump(mode="json") for trial in ended.trials],
                    "seconds": ended.seconds,
                    "expected": task.event.expected_seconds(task.bed.detector),
                    "counts": bool(task.number) and not ended.again,
                }
            )

    def close(self) -> None:
        """Take the labs down."""
        self._setting = None
        self._stack.close()

    def _deploy(self, setting: Setting) -> DeployedBeds:
        self.close()
        beds = DeployedBeds(setting.beds, setting.plan, self._engine, machine="", say=lambda _: None)
        self._beds = self._stack.enter_context(beds)
        self._setting = setting
        return self._beds
