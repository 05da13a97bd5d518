"""Figures of a run of the corpus: how many verdicts agree with packets, by rule and in all."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.helpers.corpus.run import Compared, Outcome, Ran, Source

MOST_WRONG_EXPOSED = 0.02
"""The share of wrong verdicts `exposed` that a run may have."""


@dataclass(frozen=True)
class Figures:
    """The outcomes of verdicts from one source."""

    outcomes: Mapping[Outcome, int]
    decided_exposed: int
    """The verdicts `exposed` that a trial confirmed or refuted."""
    decided_not_exposed: int

    @property
    def verdicts(self) -> int:
        """The number of all verdicts."""
        return sum(self.outcomes.values())

    @property
    def wrong_exposed(self) -> float:
        """The share of the verdicts `exposed` that packets refuted, among those that a trial decided."""
        return self.outcomes[Outcome.WRONG_EXPOSED] / self.decided_exposed if self.decided_exposed else 0.0

    @property
    def cannot_tell(self) -> float:
        """The share of `cannot tell` among all verdicts."""
        return self.outcomes[Outcome.CANNOT_TELL] / self.verdicts if self.verdicts else 0.0


def figures(compared: Iterable[Compared]) -> Figures:
    """Count the outcomes."""
    found = list(compared)
    outcomes = Counter(item.outcome for item in found)
    decided = [
        item for item in found if item.outcome in (Outcome.AGREES, Outcome.WRONG_EXPOSED, Outcome.WRONG_NOT_EXPOSED)
    ]
    exposed = sum(item.verdict == "exposed" for item in decided)
    return Figures({outcome: outcomes[outcome] for outcome in Outcome}, exposed, len(decided) - exposed)


def of_source(ran: Iterable[Ran], source: Source) -> list[Compared]:
    """Return all verdicts from one source."""
    return [item for one in ran for item in one.compared if item.source is source]


def table(ran: Sequence[Ran]) -> str:
    """Return the figures by rule, for each source."""
    lines = []
    for source in Source:
        found = of_source(ran, source)
        rules = list(dict.fromkeys(item.rule for item in found))
        lines += [f"verdicts from the {source}:", "", _row("rule", [str(outcome) for outcome in Outcome])]
        for rule in (*rules, "all"):
            of = figures(item for item in found if rule in (item.rule, "all"))
            lines.append(_row(rule, [str(of.outcomes[outcome]) for outcome in Outcome]))
        lines.append("")
    return "\n".join(lines)


def summary(ran: Sequence[Ran]) -> str:
    """Return the figures of all rules together, in sentences."""
    lines = []
    for source in Source:
        of = figures(of_source(ran, source))
        wrong, refuted = of.outcomes[Outcome.WRONG_NOT_EXPOSED], of.outcomes[Outcome.WRONG_EXPOSED]
        lines += [
            f"from the {source}: {of.verdicts} verdicts, {of.cannot_tell:.1%} of them `cannot tell`",
            f"  {of.decided_not_exposed} `not exposed` decided by packets, {wrong} of them wrong",
            f"  {of.decided_exposed} `exposed` decided by packets, {refuted} of them wrong ({of.wrong_exposed:.1%})",
        ]
    failed = sum(bool(one.failed) for one in ran)
    late = sum(bool(one.late) for one in ran)
    lines.append(f"{len(ran)} configurations; {failed} did not run, in {late} not all came up that should")
    return "\n".join(lines)


def exit_code(ran: Sequence[Ran]) -> int:
    """Return 1 for a wrong `not exposed`, for too many wrong `exposed`, and if nothing was decided; else 0."""
    found = [figures(of_source(ran, source)) for source in Source]
    wrong = any(of.outcomes[Outcome.WRONG_NOT_EXPOSED] or of.wrong_exposed > MOST_WRONG_EXPOSED for of in found)
    return 1 if wrong or not any(of.decided_exposed + of.decided_not_exposed for of in found) else 0


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:22}" + "".join(f"{cell:>19}" for cell in cells)
