"""One trial as it is written down, and the run it belongs to: what measuring and reporting share.

A run is a directory: `run.json` says what was asked for and of which machine, `trials.jsonl` has one line per trial,
written as the trial ends. All times are seconds since the event was caused, on CLOCK_MONOTONIC.
"""

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.core.errors import InputError
from lab.core.prefixes import Family

StageName = Literal["event", "detection", "update", "rib", "fib", "first-packet"]
STAGES: tuple[StageName, ...] = ("event", "detection", "update", "rib", "fib", "first-packet")
"""The way of a change through a router, in the order of RFC 7747; not every event passes all of them."""

Status = Literal["valid", "invalid", "timed-out"]
Over = Literal["tunnel", "wire", "vxlan"]

RUN_FILE = "run.json"
TRIALS_FILE = "trials.jsonl"

Seconds = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """What all records have in common: they do not change, and know no field that is not theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(Record):
    """When a change had got so far."""

    name: StageName
    node: str
    at: Seconds
    error: Seconds
    """The time is right to plus or minus so many seconds."""
    source: str = ""
    """What told: `bmp`, `netlink`, `capture`, …"""


class DataPlane(Record):
    """What the probe packets saw. Times are RFC 6412's convergence times; None where nothing was lost or arrived."""

    rate: float
    """Packets per second and prefix that were asked for."""
    achieved: float
    """Packets per second and prefix that were sent."""
    sent: int
    received: int
    lost: int
    duplicated: int
    reordered: int
    loss_derived: Seconds | None = None
    rate_derived: Seconds | None = None
    route_specific: dict[str, Seconds] = Field(default_factory=dict)
    """Per prefix."""
    error: Seconds


class Moment(Record):
    """Something that was seen during a trial, for its timeline."""

    at: Seconds
    node: str
    what: str


class Variant(Record):
    """What is measured; trials of one variant are repetitions of each other."""

    event: str
    """`announce`, `withdraw`, `client-killed`, `blackhole`, …; `… recovery` for the way back."""
    detector: str = ""
    """Who notices, and how fast: `hold 3 s`, `bfd 3x100 ms`, `ping-restart 45 s`; empty where the event tells all."""
    family: Family
    topology: str
    over: Over = "tunnel"
    mode: str = ""
    """The tunnel's mode; empty for the baselines."""
    openvpn: str = ""
    """The OpenVPN version; empty for the baselines."""

    @property
    def baseline(self) -> bool:
        """Whether this is what others are compared with."""
        return self.over != "tunnel"

    def __str__(self) -> str:
        by = " ".join(filter(None, (self.mode, self.openvpn))) or self.over
        return ", ".join(filter(None, (self.event, self.detector, self.family, self.topology, by)))


class Trial(Record):
    """One event, caused once."""

    variant: Variant
    number: int
    """Counted from 1 within the variant; warm-ups are not written down."""
    started: datetime
    status: Status
    reason: str = ""
    """Why it does not count, or what did not happen in time."""
    stages: tuple[Stage, ...] = ()
    data_plane: DataPlane | None = None
    timeline: tuple[Moment, ...] = ()
    flags: tuple[str, ...] = ()
    """What is odd about it: control and data plane that disagree beyond their errors, …"""
    foreign_load: float | None = None
    """CPUs that were busy meanwhile with what is not the lab's, on average."""

    def at(self, stage: StageName) -> float | None:
        """When a stage was reached, in seconds since the event."""
        return next((s.at for s in self.stages if s.name == stage), None)


class Environment(Record):
    """The machine and the software that the figures hold for."""

    kernel: str
    cpu: str
    cpus: int
    memory: int
    """Bytes."""
    python: str
    engine: str
    images: dict[str, str] = Field(default_factory=dict)
    """Image reference to digest."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Program to version: `OpenVPN 2.6.14`, `FRR 10.3`, …"""


class Run(Record):
    """What was asked for, and of which machine."""

    schema_version: Literal[1] = 1
    name: str
    started: datetime
    plan: dict[str, Any]
    """The plan as it was read, defaults filled in."""
    seed: int
    environment: Environment
    expected: float | None = None
    """Seconds that the whole plan was said to take, before it began."""
    topologies: dict[str, str] = Field(default_factory=dict)
    """Name to a drawing of it, as SVG."""


class RunDirectory:
    """Where a run is written down. Each trial is on the disk before the next one begins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, run: Run) -> None:
        """Begin a run; raises `InputError` where there is one already."""
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / RUN_FILE).exists():
            raise InputError(f"{self.path} has a run already: go on with --resume, or choose another directory")
        (self.path / RUN_FILE).write_text(run.model_dump_json(indent=2) + "\n")

    def append(self, trial: Trial) -> None:
        """Write down a trial."""
        with (self.path / TRIALS_FILE).open("a") as file:
            file.write(trial.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def mend(self) -> None:
        """Cut off what a crash left of a last line, so that the next trial has one of its own."""
        path = self.path / TRIALS_FILE
        if path.exists():
            whole, _, rest = path.read_bytes().rpartition(b"\n")
            if rest:
                path.write_bytes(whole + b"\n" if whole else b"")

    def run(self) -> Run:
        """What was asked for; raises `InputError` where there is no run."""
        path = self.path / RUN_FILE
        try:
            return Run.model_validate_json(path.read_text())
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}: {self.path} is no directory of `lab measure`") from error
        except ValidationError as error:
            raise InputError(f"{path}: {_first(error)}") from error

    def trials(self) -> list[Trial]:
        """All trials so far, in the order they ended. What a crash left of a last line is no trial."""
        return list(self._trials())

    def _trials(self) -> Iterator[Trial]:
        path = self.path / TRIALS_FILE
        lines: Iterable[str] = path.read_text().splitlines(keepends=True) if path.exists() else ()
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                return
            try:
                yield Trial.model_validate_json(line)
            except ValidationError as error:
                raise InputError(f"{path}, line {number}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in one line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])
