"""A scale run: tables of every size over the bare wire and over the tunnel in turn, each in a fresh lab.

The lab is fresh because a daemon that has held a million routes does not return all of its memory.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from itertools import count, product
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from lab.catalogue import load
from lab.core.errors import InputError
from lab.core.process import this_process
from lab.core.progress import Say, quiet
from lab.engine import Engine, open_engine
from lab.measure.scale.record import ScaleTrial
from lab.measure.scale.table import Table, generate
from lab.measure.scale.trial import measure
from lab.runtime.lab import Lab
from lab.topology import Family, Topology

Medium = Literal["wire", "tunnel"]

SIZES: Final[Mapping[Family, tuple[int, ...]]] = {
    "ipv4": (1, 100, 10_000, 100_000, 1_000_000),
    "ipv6": (1, 100, 10_000, 100_000, 200_000),
}
MEDIA: Final[tuple[Medium, ...]] = ("wire", "tunnel")
FILE: Final = "scale.jsonl"
"""The file of trials in a run's directory, one per line."""


@dataclass(frozen=True)
class Plan:
    """The sizes of a run and the settings of its labs."""

    sizes: Mapping[Family, tuple[int, ...]] = field(default_factory=lambda: SIZES)
    trials: int = 3
    seed: int = 1
    openvpn: str | None = None
    tunnel: Mapping[str, Any] = field(default_factory=dict)
    """Merged over the tunnel's intent; see `lab.catalogue.load`."""

    def __len__(self) -> int:
        return self.trials * len(MEDIA) * sum(map(len, self.sizes.values()))

    @property
    def prefixes(self) -> int:
        """Number of prefixes of all trials together."""
        return self.trials * len(MEDIA) * sum(map(sum, self.sizes.values()))

    @property
    def estimate(self) -> float:
        """Rough duration in seconds: a fixed time per lab, and a time per prefix for announcement and withdrawal."""
        return _LAB * len(self) + _PREFIX * self.prefixes


_LAB: Final = 7.0
_PREFIX: Final = 100e-6


def run(plan: Plan, *, into: Path | None = None, engine: Engine | None = None, say: Say = quiet) -> list[ScaleTrial]:
    """Measure a plan; append each trial to the directory `into` as it ends."""
    return list(_trials(plan, into, engine or open_engine(), say))


def topology(over: Medium, plan: Plan) -> Topology:
    """Return the topology of a trial, two routers; the lab's name contains this process's ID."""
    with as_file(files("lab.measure.scale") / "topologies" / f"{over}.clab.yml") as file:
        return load(
            file,
            name=f"scale-{over}-{os.getpid()}",
            openvpn=plan.openvpn,
            tunnel=dict(plan.tunnel) if over == "tunnel" else None,
        )


def read(directory: Path) -> list[ScaleTrial]:
    """Return the trials of a directory, without a truncated last line; raises `InputError` if there are none."""
    path = directory / FILE
    try:
        lines = path.read_text().splitlines(keepends=True)
        return [ScaleTrial.model_validate_json(line) for line in lines if line.endswith("\n")]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: {directory} is not a directory of `lab scale`") from error
    except ValidationError as error:
        raise InputError(f"{path}: not a trial of `lab scale`: {error.errors()[0]['msg']}") from error


@dataclass(frozen=True)
class Block:
    """A table over each medium once, which runs on one machine: the tunnel is compared with its bare wire."""

    family: Family
    size: int
    number: int

    def __str__(self) -> str:
        return f"{self.size} {self.family} prefixes, trial {self.number}"

    def trials(self, plan: Plan, engine: Engine, say: Say) -> Iterator[ScaleTrial]:
        """Measure the block; each trial has a lab of its own."""
        table = generate(self.family, self.size, plan.seed)
        for turn in range(len(MEDIA)):
            # Alternate which medium is measured first.
            over = MEDIA[(turn + self.number - 1) % len(MEDIA)]
            say(f"{self.size} {self.family} prefixes over the {over}")
            yield _one(topology(over, plan), table, self.number, plan.seed, engine)


def blocks(plan: Plan) -> list[Block]:
    """Return the blocks of a plan in order."""
    numbers = range(1, plan.trials + 1)
    return [Block(*block) for family, sizes in plan.sizes.items() for block in product([family], sizes, numbers)]


def create(into: Path | None) -> None:
    """Create the directory of a run; raises `InputError` if it has one."""
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
        if (into / FILE).exists():
            raise InputError(f"{into / FILE} exists already: choose another directory")


def record(trial: ScaleTrial, into: Path | None) -> None:
    """Append a trial to the directory of a run."""
    if into is not None:
        with (into / FILE).open("a") as file:
            file.write(trial.model_dump_json() + "\n")


def _trials(plan: Plan, into: Path | None, engine: Engine, say: Say) -> Iterator[ScaleTrial]:
    create(into)
    numbers = count(1)
    for block in blocks(plan):
        for trial in block.trials(plan, engine, lambda what: say(f"{next(numbers)} of {len(plan)}: {what}")):
            record(trial, into)
            yield trial


def _one(topology: Topology, table: Table, number: int, seed: int, engine: Engine) -> ScaleTrial:
    lab = Lab.deploy(topology, engine=engine, owner=this_process())
    try:
        return measure(lab, table, number=number, seed=seed)
    finally:
        lab.destroy()
