"""The result of all checks of a lab, as data for JSON, JUnit and the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lab.check.model import Checked, Checks, Step, Verdict


@dataclass(frozen=True)
class ResultReport:
    """One expectation, with its result."""

    kind: str
    """The kind of the expectation; `measure` for a figure, the kind of the action for one that failed."""
    expected: str
    place: str
    """The node, the tunnel or the link that it is about; empty if it is about the whole lab."""
    verdict: Verdict
    seen: str
    """The last observation."""
    after: float
    """Seconds from the step until that observation."""
    within: float
    """Seconds until which it had to hold."""
    cause: str
    """Why it does not hold, and what to do; empty if it holds or the cause is not known."""
    logs: Path | None
    evidence: Sequence[str]
    remark: bool
    """True if it does not fail the check: whether it should hold does not follow from the files."""
    file: Path | None
    line: int | None
    """Its place in the file; None for an expectation that was derived."""
    figures: Mapping[str, object] = field(default_factory=dict)
    """The measurement, as in `lab measure`; empty for anything else."""

    @classmethod
    def of(cls, checked: Checked) -> "ResultReport":
        """Return a result as data."""
        result = checked.result
        return cls(
            kind=checked.kind,
            expected=checked.what,
            place=checked.place,
            verdict=result.verdict,
            seen=result.seen,
            after=result.after,
            within=checked.within,
            cause=result.cause,
            logs=result.logs,
            evidence=result.evidence,
            remark=result.remark,
            file=checked.file,
            line=checked.line,
            figures=checked.extra,
        )

    @property
    def good(self) -> bool:
        """True if it does not fail the check."""
        return self.verdict.good or self.remark

    @property
    def where(self) -> str:
        """The place in the file, as in `article.checks.yml:8`; empty if it was derived."""
        return f"{self.file}:{self.line}" if self.file else ""

    def __str__(self) -> str:
        """Return the whole result in one line."""
        parts = [
            f"{self.where}: " if self.where else "",
            f"{self.verdict}: {self.expected}",
            f" within {self.within:g} s" if not self.good and self.after >= self.within else "",
            f"; last seen: {self.seen}" if self.seen else "",
            f"; cause: {self.cause}" if self.cause else "",
            f"; logs: {self.logs}" if self.logs else "",
        ]
        return "".join(parts)


@dataclass(frozen=True)
class StepReport:
    """A step, with the results of its expectations."""

    step: str
    """Its name; empty for the lab as it was."""
    actions: Sequence[str]
    results: Sequence[ResultReport]


@dataclass(frozen=True)
class CheckReport:
    """The checks of a lab."""

    lab: str
    topology: Path
    checks: Path | None
    """The file; None if the expectations were derived from the topology."""
    started: datetime
    seconds: float
    """How long the checks took, without starting and stopping the lab."""
    held: bool
    """True if every expectation held in time, except for remarks."""
    counts: Mapping[Verdict, int]
    """The number of results by verdict."""
    steps: Sequence[StepReport]
    trouble: str = ""
    """Why the lab did not come up as its topology says, or what could not be undone; empty if all was well."""

    @property
    def results(self) -> list[ResultReport]:
        """All results, in the file's order."""
        return [result for step in self.steps for result in step.results]

    @property
    def summary(self) -> str:
        """The result in one line, as in `25 of 28 expectations held; 2 do not hold; 1 late`."""
        tried = (Verdict.CONFIRMED, Verdict.REFUTED)
        remarks = sum(result.remark and result.verdict is Verdict.CANNOT_TELL for result in self.results)
        total = sum(self.counts.values()) - sum(self.counts[verdict] for verdict in tried) - remarks
        others = [_counted(v, self.counts[v]) for v in Verdict if self.counts[v] and v not in (Verdict.HELD, *tried)]
        foreseen = [f"{self.counts[v]} foreseen failures {v}" for v in tried if self.counts[v]]
        return "; ".join([f"{self.counts[Verdict.HELD]} of {total} expectations held", *others, *foreseen])


def make_report(
    lab: str,
    topology: Path,
    checks: Checks,
    done: Sequence[Sequence[Checked]],
    *,
    started: datetime,
    seconds: float,
    trouble: str = "",
) -> CheckReport:
    """Return the report of checks; `done` has the results of each step."""
    steps = [_step(step, results) for step, results in zip(checks.steps, done, strict=False)]
    results = [result for step in steps for result in step.results]
    verdicts = [result.verdict for result in results]
    return CheckReport(
        lab=lab,
        topology=topology,
        checks=checks.file,
        started=started,
        seconds=seconds,
        held=all(result.good for result in results),
        counts={verdict: verdicts.count(verdict) for verdict in Verdict},
        steps=steps,
        trouble=trouble,
    )


def _counted(verdict: Verdict, count: int) -> str:
    return f"{count} do not hold" if verdict is Verdict.FAILED and count > 1 else f"{count} {verdict}"


def _step(step: Step, results: Sequence[Checked]) -> StepReport:
    return StepReport(step.name, [str(action) for action in step.actions], [ResultReport.of(each) for each in results])
