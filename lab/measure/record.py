"""The records of trials and runs, which measuring writes and reporting reads.

A run is a directory: `run.json` has the plan and the environment, `trials.jsonl` has one line per trial,
written as the trial ends. All times are seconds since the event was caused, on CLOCK_MONOTONIC.
"""

import os
from collections.abc import Iterable, Iterator, Set
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lab.core.errors import InputError
from lab.core.prefixes import Family
from lab.measure.earlier import with_named_times

StageName = Literal["event", "detection", "update", "rib", "fib", "first-packet"]
STAGES: tuple[StageName, ...] = ("event", "detection", "update", "rib", "fib", "first-packet")
"""The stages of a change in a router, in their order; not every event passes all of them."""

Status = Literal["valid", "invalid", "timed-out"]
Over = Literal["tunnel", "wire", "vxlan"]

RUN_FILE = "run.json"
TRIALS_FILE = "trials.jsonl"
ASIDE_FILE = "aside.jsonl"
"""Attempts of blocks that had to run again from their beginning."""

Seconds = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """Base of all records: immutable, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(Record):
    """The time at which a change reached a stage."""

    name: StageName
    node: str
    at: Seconds
    error: Seconds
    """Uncertainty of the time in seconds, to either side."""
    source: str = ""
    """The source of the time: `bmp`, `netlink`, `capture`, …"""


class DataPlane(Record):
    """Counts of the probe packets, and the times that follow; None for a time that the event does not have."""

    rate: float
    """Requested packets per second and prefix."""
    achieved: float
    """Packets per second and prefix that the sender reached."""
    late: Seconds | None = None
    """The largest delay in sending a packet since the event; None in records of earlier versions."""
    real_time: bool | None = None
    """True if the sender ran at real-time priority (SCHED_FIFO); None in records of earlier versions."""
    sent: int
    received: int
    lost: int
    duplicated: int
    reordered: int
    lost_in_a_row: int | None = None
    """Packets that were lost in a row, at most, of any prefix; None in records of earlier versions."""
    outage: int | None = None
    """The longest of these runs that was taken for an outage: not longer than chance explains, it is 0, and there is no
    time until traffic stopped or came back. None in records of earlier versions."""
    until_stopped: Seconds | None = None
    """Until traffic stopped that was still delivered after the event; None if it stopped with the event, or never."""
    until_back: Seconds | None = None
    """Until traffic came back that had flowed before; None if it was not interrupted, or never came back."""
    loss_derived: Seconds | None = None
    """Loss-Derived Convergence Time (RFC 6412, section 3.6.4); None also if traffic stopped later than the event."""
    loss_of_connectivity: Seconds | None = None
    """Loss-Derived Loss of Connectivity Period (RFC 6412, section 3.6.6); None if nothing flowed before the event."""
    rate_derived: Seconds | None = None
    """Full Convergence Time (RFC 6412, section 3.6.1), by the rate-derived method."""
    route_specific: dict[str, Seconds] = Field(default_factory=dict)
    """Route-Specific Convergence Time (RFC 6412, section 3.6.3) per prefix."""
    error: Seconds


class Moment(Record):
    """An entry of a trial's timeline."""

    at: Seconds
    node: str
    what: str


class Variant(Record):
    """One combination that is measured; its trials are repetitions of each other."""

    event: str
    """`announce`, `withdraw`, `client-killed`, `blackhole`, …; `… recovery` for the recovery from it."""
    detector: str = ""
    """The detector: `hold 3 s`, `bfd 3x100 ms`, `ping-restart 45 s`; empty if the event needs none."""
    family: Family
    topology: str
    over: Over = "tunnel"
    mode: str = ""
    """The tunnel's mode; empty for the baselines."""
    openvpn: str = ""
    """The OpenVPN version; empty for the baselines."""
    on: str = ""
    """The machines that it was measured on, if a report keeps different ones apart; empty in records."""

    @property
    def baseline(self) -> bool:
        """True for the bare wire and VXLAN, which tunnels are compared with."""
        return self.over != "tunnel"

    def __str__(self) -> str:
        by = " ".join(filter(None, (self.mode, self.openvpn))) or self.over
        return ", ".join(filter(None, (self.event, self.detector, self.family, self.topology, by, self.on)))


class Trial(Record):
    """One event, caused once."""

    variant: Variant
    number: int
    """Counted from 1 within the variant; warm-ups are not recorded."""
    attempt: int = 1
    """Counted from 1: an invalid trial is tried again, with the same number."""
    started: datetime
    status: Status
    reason: str = ""
    """Why the trial does not count, as `CAUSE: DETAIL`, or which expectation it missed."""
    stages: tuple[Stage, ...] = ()
    data_plane: DataPlane | None = None
    timeline: tuple[Moment, ...] = ()
    flags: tuple[str, ...] = ()
    """Remarks: control and data plane disagree beyond their errors, …"""
    foreign_load: float | None = None
    """CPUs that other programs kept busy during the trial, on average."""
    machine: str = ""
    """The machine it ran on, one of the run's `machines`; empty in records of earlier versions."""

    _read_earlier = model_validator(mode="before")(with_named_times)

    @property
    def cause(self) -> str:
        """The reason without its figures, the same for all trials with that cause."""
        return self.reason.partition(":")[0]

    def at(self, stage: StageName) -> float | None:
        """Return when a stage was reached, in seconds since the event."""
        return next((s.at for s in self.stages if s.name == stage), None)


class Environment(Record):
    """The host and the software of a run."""

    kernel: str
    cpu: str
    cpus: int
    memory: int
    """Bytes."""
    python: str
    engine: str
    lab: str = ""
    """The lab's version; empty in records of earlier versions, as the following."""
    package: str = ""
    """The first digits of the digest of the lab's files, which tell two checkouts of a version apart."""
    governor: str = ""
    """The frequency governor of the CPUs; empty if the kernel sets no frequencies."""
    clock_source: str = ""
    """The kernel's clock source, which all times are from."""
    boot: str = ""
    """The identity of the running kernel, which tells machines of one name apart."""
    images: dict[str, str] = Field(default_factory=dict)
    """Image reference to digest."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Program to version: `OpenVPN 2.6.14`, `FRR 10.3`, …"""


class Run(Record):
    """A run: its plan and its environment."""

    schema_version: Literal[1, 2] = 2
    """Version 1 had other names for times of the data plane, see `lab.measure.earlier`."""
    name: str
    started: datetime
    plan: dict[str, Any]
    """The plan as it was read, defaults filled in."""
    seed: int
    environment: Environment
    """The first machine's."""
    machines: dict[str, Environment] = Field(default_factory=dict)
    """Each machine of the run by its name; empty in records of earlier versions, which have one machine."""
    shard: str = "1/1"
    """The part of the plan's blocks that was to be measured, as `3/10`."""
    expected: float | None = None
    """Predicted duration of the whole plan, or the shard, in seconds."""
    topologies: dict[str, str] = Field(default_factory=dict)
    """Topology name to its drawing, as SVG."""


class RunDirectory:
    """The directory of a run's records. Each trial is on disk before the next one begins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, run: Run) -> None:
        """Create the directory; raises `InputError` if it already holds a run."""
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / RUN_FILE).exists():
            raise InputError(f"{self.path} already holds a run: continue it with --resume, or choose another directory")
        self.replace(run)

    def replace(self, run: Run) -> None:
        """Write the run's description again."""
        _write_atomically(self.path / RUN_FILE, run.model_dump_json(indent=2) + "\n")

    def append(self, trial: Trial) -> None:
        """Append a trial."""
        with (self.path / TRIALS_FILE).open("a") as file:
            file.write(trial.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def put_aside(self, keys: Set[tuple[Variant, int]]) -> None:
        """Move the attempts of trials to a file of their own; they do not count, since their block runs again."""
        aside: list[str] = []
        kept: list[str] = []
        for trial in self._trials():
            (aside if (trial.variant, trial.number) in keys else kept).append(trial.model_dump_json() + "\n")
        with (self.path / ASIDE_FILE).open("a") as file:
            file.writelines(aside)
        _write_atomically(self.path / TRIALS_FILE, "".join(kept))

    def drop_partial_line(self) -> None:
        """Remove a last line that a crash truncated, so that the next trial starts on a new line."""
        path = self.path / TRIALS_FILE
        if path.exists():
            whole, _, rest = path.read_bytes().rpartition(b"\n")
            if rest:
                path.write_bytes(whole + b"\n" if whole else b"")

    def run(self) -> Run:
        """Return the run; raises `InputError` if there is none."""
        path = self.path / RUN_FILE
        try:
            return Run.model_validate_json(path.read_text())
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}: {self.path} is not a directory of `lab measure`") from error
        except ValidationError as error:
            raise InputError(f"{path}: {_first_mistake(error)}") from error

    def trials(self) -> list[Trial]:
        """Return all trials so far, in the order in which they ended, without a truncated last line."""
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
                raise InputError(f"{path}, line {number}: {_first_mistake(error)}") from error


def _write_atomically(path: Path, text: str) -> None:
    """Replace a file: after a crash it has the old text or the new one."""
    new = path.with_name(f".{path.name}")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _first_mistake(error: ValidationError) -> str:
    """Return the first validation error, on one line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])
