"""Apply every rule to every end of a tunnel."""

from collections.abc import Iterable
from dataclasses import dataclass

from lab.advise.rule import Verdict
from lab.advise.rules import RULES
from lab.advise.subject import Subject
from lab.configs.disk import Spot


@dataclass(frozen=True)
class Finding:
    """The verdict of a rule on one end of a tunnel."""

    subject: str
    rule: str
    failure: str
    verdict: Verdict
    why: str
    lines: tuple[Spot, ...]
    do: str
    source: str
    test: str | None


def advise(subjects: Iterable[Subject]) -> list[Finding]:
    """Return all findings, end by end."""
    findings = []
    for subject in subjects:
        for rule in RULES:
            judgement = rule.judge(subject)
            findings.append(
                Finding(
                    subject=subject.name,
                    rule=rule.name,
                    failure=rule.failure,
                    verdict=judgement.verdict,
                    why=_printable(judgement.why),
                    lines=judgement.spots,
                    do=judgement.do,
                    source=rule.source,
                    test=rule.test,
                )
            )
    return findings


def _printable(text: str) -> str:
    """Escape characters that a terminal would interpret: values of files may have any."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
