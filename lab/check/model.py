"""The model of a check: expectations in steps, what a step does, and the result of each expectation.

An expectation or an action is a pydantic model whose fields are its keys in a `.checks.yml` file. Its kind is the key
that only it has: `{session: branch, node: hq}` is of the kind `session`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from lab.topology import Topology
from lab.topology.intent import Frozen
from lab.topology.model import Place

if TYPE_CHECKING:
    from lab.check.session import Session
    from lab.runtime.lab import Lab

WITHIN = 30.0
"""Seconds from a step until its expectations must hold, unless the file says otherwise."""

# --- results -----------------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """The verdict on an expectation."""

    HELD = "held"
    FAILED = "does not hold"
    LATE = "late"
    """It held, but only after its deadline."""
    CANNOT_TELL = "cannot tell"
    """It could not be observed."""
    CONFIRMED = "confirmed"
    """Of a failure that `lab advise` foresees: it was tried, and it happens."""
    REFUTED = "refuted"
    """Of a failure that `lab advise` foresees: it was tried, and it does not happen."""

    @property
    def good(self) -> bool:
        """True if the expectation held in time, or if a foreseen failure was tried, with either result."""
        return self in (Verdict.HELD, Verdict.CONFIRMED, Verdict.REFUTED)


@dataclass(frozen=True)
class Result:
    """The verdict on one expectation, with what was seen."""

    verdict: Verdict
    seen: str
    """The last observation."""
    after: float
    """Seconds from the step until that observation."""
    cause: str = ""
    """Why it does not hold, and what to do; empty if it holds or the cause is not known."""
    logs: Path | None = None
    """The directory of the node's logs, or the log itself."""
    evidence: tuple[str, ...] = ()
    """Lines that show what was seen: routes, packets, lines of logs."""
    remark: bool = False
    """True if it does not fail a check: whether it should hold at all does not follow from the files."""

    @property
    def good(self) -> bool:
        """True if it does not fail a check."""
        return self.verdict.good or self.remark


@dataclass(frozen=True)
class Start:
    """The moment from which an expectation's deadline counts."""

    time: float
    """Seconds on CLOCK_MONOTONIC."""
    within: float = WITHIN
    """Seconds until the expectation must hold."""
    log_sizes: Mapping[Path, int] | None = None
    """The size of each log at that moment, so that only new lines count; None if all lines do."""

    def limited(self, within: float | None) -> "Start":
        """Return the same moment with another deadline, if one is given."""
        return self if within is None else replace(self, within=within)


# --- what a file says --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """A value that does not fit the topology, such as an unknown node."""

    key: str
    """The key that has it."""
    what: str
    hint: str | None = None
    """The remedy, e.g. `did you mean 'branch'?`."""


class Keyed(Frozen, ABC):
    """Base of everything that a file names by the key of its kind."""

    kind: ClassVar[str]
    """The key by which it is recognised."""
    summary: ClassVar[str]
    """One line for lists of the kinds."""

    @abstractmethod
    def __str__(self) -> str:
        """Describe it in a clause."""

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return the values that do not fit a topology."""
        return ()


class Expected(Keyed):
    """An expectation: something that should hold in a running lab.

    A new kind is a module in `lab.check.expectations` and its entry in `lab.check.kinds`.
    """

    last: ClassVar[bool] = False
    """True if it is observed after the others of its step, since its absence says nothing before."""

    within: float | None = Field(default=None, ge=0, le=3600)
    """Seconds from the step until this must hold; by default those of the step."""

    @property
    @abstractmethod
    def place(self) -> str:
        """The node, the tunnel or the link that it is about, for messages."""

    @abstractmethod
    def check(self, lab: "Lab", start: Start) -> Result:
        """Wait until it holds, at most until its deadline, and return what was seen.

        Raises `LabError` if it cannot be observed, which counts as `cannot tell`.
        """


class Action(Keyed):
    """An action of a step on the lab."""

    @abstractmethod
    def run(self, session: "Session") -> None:
        """Do it, and tell the session how to undo it; raises `LabError` if it fails."""


class Measure(Frozen):
    """A measurement of what a step does."""

    node: str
    """The node that observes: a router at which prefixes appear or vanish."""
    name: str = Field(default="", alias="as", pattern=r"^([a-z][a-z0-9-]*)?$")
    """A name for later relations, such as `baseline`."""
    relations: tuple[str, ...] = ()
    """Conditions on the stages, as in `fib < 3 * baseline`, `fib < 2 s` or `packets < fib + 100 ms`."""


@dataclass(frozen=True)
class Item:
    """An expectation in a step, with its place in the file."""

    expected: Expected
    place: Place | None = None
    """None for one that was derived."""

    def __str__(self) -> str:
        return str(self.expected)


@dataclass(frozen=True)
class Step:
    """Actions, and the expectations that should hold after them."""

    name: str = ""
    """Empty for the lab as it is."""
    actions: tuple[Action, ...] = ()
    items: tuple[Item, ...] = ()
    measure: Measure | None = None
    within: float = WITHIN
    """Seconds from the last action until the expectations must hold."""
    place: Place | None = None
    measure_place: Place | None = None


@dataclass(frozen=True)
class Checks:
    """The steps of a file, in order; the first has no action if the file expects something of the lab as it is."""

    steps: tuple[Step, ...] = ()
    file: Path | None = None
    """None if they were derived."""

    @property
    def items(self) -> Iterator[tuple[Step, Item]]:
        """All expectations with their steps."""
        return ((step, item) for step in self.steps for item in step.items)


def derived(expectations: Iterable[Expected], *, within: float = WITHIN) -> Checks:
    """Return checks of a lab as it is."""
    return Checks((Step(items=tuple(Item(each) for each in expectations), within=within),))


@dataclass(frozen=True)
class Checked:
    """An expectation with its result, as it is listed and written."""

    step: str
    kind: str
    what: str
    """The expectation in words."""
    place: str
    """The node, the tunnel or the link that it is about."""
    result: Result
    file: Path | None = None
    line: int | None = None
    within: float = WITHIN
    extra: Mapping[str, object] = field(default_factory=dict)
    """Figures of a measurement."""
