"""Runs a plan on this host: deploys beds, causes and measures events, and records each trial as it ends."""

from pathlib import Path

from lab.core.progress import Say
from lab.engine import Engine, open_engine
from lab.measure.shard import WHOLE, Shard
from lab.measure.trials.deployed import DeployedBeds
from lab.measure.trials.environment import machine_name
from lab.measure.trials.forecast import DEPLOYED, Pace, Progress, Watch, seconds_of
from lab.measure.trials.plan import Block, Plan, Setting, Task
from lab.measure.trials.recording import Recording, count_of
from lab.runtime.owner import sweep


def left_of(plan: Plan, directory: Path, shard: Shard = WHOLE) -> list[Setting]:
    """Return the settings with what an interrupted run lacks of their blocks."""
    recording = Recording(plan, directory, shard)
    recording.resume()
    return recording.left()


def run(
    plan: Plan,
    directory: Path,
    *,
    shard: Shard = WHOLE,
    resume: bool = False,
    say: Say = print,
    watch: Watch = lambda _: None,
) -> None:
    """Measure a plan, or a shard of it, into a directory; with `resume` only the trials that are missing there.

    Raises `InputError` if the directory has a run of another plan, `EnvironmentBroken` if several trials in a row
    fail. In any case the labs are destroyed, and the recorded trials stay.
    """
    recording = Recording(plan, directory, shard)
    if resume:
        recording.resume()
    engine = open_engine()
    sweep(engine)
    course = _Course(recording, engine, say, watch)
    for setting in recording.settings:
        if blocks := [block for block in setting.blocks if recording.missing(setting, block)]:
            course.measure(setting, blocks)


class _Course:
    def __init__(self, recording: Recording, engine: Engine, say: Say, watch: Watch) -> None:
        self._recording, self._engine, self._say, self._watch = recording, engine, say, watch
        self._machine = machine_name()
        left = recording.left()
        self._total = count_of(recording.settings)
        self._count = self._total - count_of(left)
        self._pace = Pace(seconds_of(left))

    def measure(self, setting: Setting, blocks: list[Block]) -> None:
        """Deploy a setting's beds side by side, and run the tasks that are missing."""
        tasks = list(setting.warm_up)
        for block in blocks:
            # Trials are compared within their block: another machine's part of it is of no use here.
            if self._recording.ledger.machines(block) - {self._machine}:
                self._recording.restart(block)
            tasks += self._recording.missing(setting, block)
        beds = [bed for bed in setting.beds if any(task.bed == bed for task in tasks)]
        with DeployedBeds(beds, setting.plan, self._engine, machine=self._machine, say=self._say) as deployed:
            self._pace.pass_by(DEPLOYED * len(beds))
            self._recording.begin(self._machine, deployed.environment())
            for ended in deployed.measure(tasks, self._recording.ledger, self._report):
                for trial in ended.trials:
                    self._recording.record(trial)
                expected = ended.task.event.expected_seconds(ended.task.bed.detector)
                self._pace.add(ended.seconds, expected=expected)
                if not ended.again:
                    self._pace.pass_by(expected)
                    self._count += bool(ended.task.number)

    def _report(self, task: Task) -> None:
        self._watch(Progress(self._count, self._total, self._pace.left, str(task)))
