"""The shards of a plan put together: one run with the trials of all. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.core.errors import InputError
from lab.measure.machines import APART, require_alike
from lab.measure.record import Environment, Run, RunDirectory, Trial
from lab.measure.shard import WHOLE, Shard


@dataclass(frozen=True)
class Part:
    """A run of one shard."""

    path: Path
    run: Run
    trials: Sequence[Trial]

    @classmethod
    def read(cls, path: Path) -> "Part":
        """Read a directory of `lab measure`; raises `InputError`."""
        directory = RunDirectory(path)
        return cls(path, directory.run(), directory.trials())

    @property
    def shard(self) -> Shard:
        """The shard that was measured."""
        return Shard.parse(self.run.shard, str(self.path))


@dataclass(frozen=True)
class Merged:
    """The shards of one run, put together."""

    run: Run
    trials: tuple[Trial, ...]
    missing: tuple[Shard, ...]
    """The shards of the plan that are not among them."""


def are_shards(parts: Sequence[Part]) -> bool:
    """Return whether runs are to be put together: each has a part of its plan only."""
    return all(part.shard != WHOLE for part in parts)


def merge(parts: Sequence[Part]) -> Merged:
    """Put shards together; raises `InputError` if they are not shards of one plan on comparable machines."""
    first = parts[0]
    seen: dict[Shard, Path] = {}
    for part in parts:
        for what, mine, theirs in (
            ("another seed", part.run.seed, first.run.seed),
            ("another plan", part.run.plan, first.run.plan),
            ("another number of shards", part.shard.count, first.shard.count),
        ):
            if mine != theirs:
                raise InputError(f"{part.path} has {what} than {first.path}: give the shards of one plan")
        if part.shard in seen:
            raise InputError(f"{part.path} and {seen[part.shard]} are both shard {part.shard}: give one of them")
        seen[part.shard] = part.path
    machines: dict[str, Environment] = {}
    trials: list[Trial] = []
    for part in parts:
        names = _names(part, machines)
        machines |= {names[name]: environment for name, environment in _machines(part.run).items()}
        trials += [
            trial.model_copy(update={"machine": names.get(trial.machine, trial.machine)}) for trial in part.trials
        ]
    if first.run.plan.get("machines") != APART:
        require_alike(machines)
    count = first.shard.count
    wanted = [Shard(number, count) for number in range(1, count + 1)]
    run = first.run.model_copy(
        update={
            "machines": machines,
            "shard": str(WHOLE),
            "started": min(part.run.started for part in parts),
            "topologies": {name: svg for part in parts for name, svg in part.run.topologies.items()},
        }
    )
    return Merged(run, tuple(trials), tuple(shard for shard in wanted if shard not in seen))


def _machines(run: Run) -> dict[str, Environment]:
    return dict(run.machines) or {"": run.environment}


def _names(part: Part, known: dict[str, Environment]) -> dict[str, str]:
    """Return new names for the machines of a shard: with the shard's number where another machine has the name."""
    return {
        name: f"{name} (shard {part.shard})" if name in known and known[name].boot != environment.boot else name
        for name, environment in _machines(part.run).items()
    }
