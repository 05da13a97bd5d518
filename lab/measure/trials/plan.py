"""Measurement plans, read from YAML files, and the order of their trials."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lab.core.errors import InputError
from lab.core.prefixes import FAMILIES
from lab.image import VERSIONS
from lab.measure.record import Over, Variant
from lab.measure.shard import WHOLE, Shard
from lab.measure.trials.detector import Detector
from lab.measure.trials.events import EVENTS, TrialEvent, event_names, event_of
from lab.topology import Family
from lab.topology.mistakes import did_you_mean
from lab.tunnel import modes

_SUFFIX = ".plan.yml"


class Plan(BaseModel):
    """The file. Every value of a list is combined with every value of the others, unless that is impossible."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")
    """The plan's name; by default that of its file."""
    topologies: tuple[str, ...] = Field(("article",), min_length=1)
    """Names or files of topologies. The measurement is between the two routers of the first tunnel."""
    modes: tuple[str, ...] = ()
    """Tunnel modes that replace the topology's own; empty to keep that."""
    variables: Mapping[str, str] = {}
    """Variables of the topology files (`${PREFERENCE:=100}`), instead of the environment's."""
    openvpn: tuple[str, ...] = Field((VERSIONS[-1],), min_length=1)
    """OpenVPN's versions."""
    baselines: tuple[Literal["wire", "vxlan"], ...] = ("wire", "vxlan")
    """The baselines: links that replace the tunnel for comparison, in the same run."""
    families: tuple[Family, ...] = Field(FAMILIES, min_length=1)
    """The address families."""
    events: tuple[str, ...] = Field(tuple(EVENTS), min_length=1)
    """The events that are caused."""
    detectors: tuple[str, ...] = Field(("hold 3 s",), min_length=1)
    """Detectors for the events that need one; the other events use the first one only."""
    trials: int = Field(30, ge=1, le=10_000)
    """Number of trials per variant."""
    attempts: int = Field(5, ge=1, le=100)
    """How often a trial is tried until it is valid; if none of the attempts is, the variant has a trial less."""
    warm_up: int = Field(2, ge=0, le=100)
    """Trials at the beginning of each deployment that are not recorded."""
    seed: int = 1
    """Seed of the order of trials."""
    rate: int = Field(1000, ge=1000, le=50_000)
    """Probe packets per second and prefix."""
    prefixes: int = Field(1, ge=1, le=100)
    """Number of prefixes that change at once, each with its own probe stream."""
    within: float = Field(120.0, gt=0, le=3600)
    """Seconds after which a trial without the expected outcome times out."""
    machines: Literal["alike", "apart"] = "alike"
    """How machines of one run that differ in software or in their clock are treated: refused, or set apart."""
    also: tuple[dict[str, Any], ...] = ()
    """Further parts of the same run: each is this plan with some keys replaced."""

    @field_validator("modes", "openvpn", "events")
    @classmethod
    def _is_known(cls, values: tuple[str, ...], info: Any) -> tuple[str, ...]:
        known: dict[str, Sequence[str]] = {"modes": tuple(modes()), "openvpn": VERSIONS, "events": event_names()}
        for value in values:
            if value not in known[info.field_name]:
                there = f"there are {', '.join(known[info.field_name])}"
                raise ValueError(f"unknown {value!r}: {did_you_mean(value, known[info.field_name]) or there}")
        return values

    @field_validator("detectors")
    @classmethod
    def _is_detector(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(Detector.parse(value)) for value in values)
        except InputError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _has_parts_that_are_plans(self) -> Self:
        for number in range(len(self.also)):
            try:
                self.part(number)
            except InputError as error:
                raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _has_no_duplicates(self) -> Self:
        for field in ("topologies", "modes", "openvpn", "baselines", "families", "events", "detectors"):
            values = getattr(self, field)
            if len(set(values)) != len(values):
                raise ValueError(f"{field} has an entry twice")
        return self

    @classmethod
    def read(cls, name_or_path: str | Path) -> Self:
        """Read a plan, given as a file or as the name of one that comes with the lab; raises `InputError`."""
        path = find_plan(name_or_path)
        try:
            data = yaml.safe_load(path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the plan {path}: {error}") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            raise InputError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from error
        if not isinstance(data, dict):
            raise InputError(f"{path}: a plan is a mapping, for example `events: [announce, withdraw]`")
        return cls.parse({"name": path.name.split(".")[0], **data}, str(path))

    def part(self, number: int) -> Self:
        """Return a part of `also` as a plan; raises `InputError` if it is not one."""
        own = self.model_dump(mode="json", by_alias=True, exclude={"also"})
        fixed = {"name", "seed", "machines", "also"} & self.also[number].keys()
        if fixed:
            raise InputError(f"also.{number}: {min(fixed)} is allowed for the whole plan only")
        return self.parse({**own, **self.also[number]}, f"also.{number}")

    def with_trials(self, trials: int) -> Self:
        """Return the plan with another number of trials per variant, in all of its parts."""
        also = tuple({key: value for key, value in part.items() if key != "trials"} for part in self.also)
        return self.model_copy(update={"trials": trials, "also": also})

    @property
    def parts(self) -> "tuple[Plan, ...]":
        """The plan itself, and the parts of `also`."""
        return (self, *(self.part(number) for number in range(len(self.also))))

    @classmethod
    def parse(cls, data: dict[str, Any], where: str) -> Self:
        """Return a plan from data; raises `InputError` with the first mistake and its key."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "the plan"
            what = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                keys = [f.alias or n for n, f in cls.model_fields.items()]
                what = f"unknown key; {did_you_mean(str(first['loc'][-1]), keys) or 'there are ' + ', '.join(keys)}"
            raise InputError(f"{where}: {key}: {what}") from error


@dataclass(frozen=True)
class Bed:
    """One deployment, in which some of a plan's variants are measured."""

    topology: str
    detector: Detector
    over: Over = "tunnel"
    mode: str = ""
    """Empty for the topology's mode."""
    openvpn: str = ""
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Task:
    """One event in one bed, for prefixes of one family."""

    bed: Bed
    event: TrialEvent
    family: Family
    number: int
    """0 for a warm-up."""

    def __str__(self) -> str:
        return f"{self.event.name}, {self.bed.detector}, {self.family}, {self.bed.mode or self.bed.over}"


@dataclass(frozen=True)
class Block:
    """Each variant of a setting once, in an order from the seed: trials are compared within their block.

    It runs on one machine, alone on it, because trials of different machines and moments are not comparable.
    """

    number: int
    """Counted from 1 in the whole plan, whichever part of it is measured."""
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Setting:
    """Beds that run side by side, and the blocks that are measured in them one after another."""

    plan: Plan
    """The part of the plan that it belongs to."""
    beds: tuple[Bed, ...]
    warm_up: tuple[Task, ...]
    """The tasks after each deployment that are not recorded."""
    blocks: tuple[Block, ...]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks, the warm-up's first."""
        return (*self.warm_up, *(task for block in self.blocks for task in block.tasks))


@dataclass(frozen=True)
class Facts:
    """The properties of a topology that decide which events are possible in it."""

    two_paths: bool
    """It has an alternative path."""
    tcp: bool
    """Its tunnels run over TCP."""


def settings(plan: Plan, facts: Mapping[str, Facts], shard: Shard = WHOLE) -> list[Setting]:
    """Return the settings of a plan in order, by the facts of its topologies, with the blocks of a shard.

    The same plan and seed give the same order, and the same blocks have the same numbers in every shard.
    """
    shuffle = random.Random(plan.seed)  # noqa: S311 - an order, not a secret
    numbers = count(1)
    everything = [
        _setting(part, topology, detector, shuffle, facts[topology], numbers)
        for part in plan.parts
        for topology in part.topologies
        for detector in map(Detector.parse, part.detectors)
    ]
    chosen = [replace(s, blocks=tuple(b for b in s.blocks if shard.has(b.number))) for s in everything]
    return [setting for setting in chosen if setting.blocks]


def _setting(
    plan: Plan, topology: str, detector: Detector, shuffle: random.Random, facts: Facts, numbers: Iterator[int]
) -> Setting:
    first = str(detector) == plan.detectors[0]
    events = [event for name in plan.events if (event := event_of(name)).detected or first]
    beds = list(_beds(plan, topology, detector))
    warm_up: list[Task] = []
    rounds: list[tuple[Task, ...]] = []
    for number in range(1 - plan.warm_up, plan.trials + 1):
        turn = [
            Task(bed, event, family, max(0, number))
            for bed in beds
            for event in events
            if event.possible(bed.over, detector.kind, two_paths=facts.two_paths, tcp=facts.tcp)
            for family in plan.families
        ]
        shuffle.shuffle(turn)
        if number < 1:
            warm_up += turn
        elif turn:
            rounds.append(tuple(turn))
    used = {task.bed for tasks in rounds for task in tasks}
    blocks = tuple(Block(next(numbers), tasks) for tasks in rounds)
    return Setting(plan, tuple(bed for bed in beds if bed in used), tuple(warm_up), blocks)


def _beds(plan: Plan, topology: str, detector: Detector) -> Iterator[Bed]:
    variables = tuple(plan.variables.items())
    for mode in plan.modes or ("",):
        for version in plan.openvpn:
            yield Bed(topology, detector, "tunnel", mode, version, variables)
    if not detector.needs_openvpn:
        for over in plan.baselines:
            yield Bed(topology, detector, over, variables=variables)


def expected_seconds(tasks: Sequence[Task]) -> float:
    """Return how long tasks will take, see `TrialEvent.expected_seconds`."""
    return sum(task.event.expected_seconds(task.bed.detector) for task in tasks)


def variants_of(task: Task, mode: str, topology: str) -> tuple[Variant, ...]:
    """Return the variants that a task measures: its event and, if that lasts, the recovery."""
    return tuple(
        Variant(
            event=event,
            detector=str(task.bed.detector) if task.event.detected else task.event.noticed_by,
            family=task.family,
            topology=topology,
            over=task.bed.over,
            mode=mode if task.bed.over == "tunnel" else "",
            openvpn=task.bed.openvpn,
        )
        for event in task.event.measured
    )


def find_plan(name_or_path: str | Path) -> Path:
    """Return the file of a plan, given as a path or as the name of one that comes with the lab (`default`)."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    plans = Path(__file__).parents[1] / "plans"
    known = plans / f"{name_or_path}{_SUFFIX}"
    if path.name == str(name_or_path) and known.is_file():
        return known
    names = sorted(plan.name.removesuffix(_SUFFIX) for plan in plans.glob(f"*{_SUFFIX}"))
    raise InputError(f"no plan {str(name_or_path)!r}: give a file, or one of {', '.join(names)} by name")
