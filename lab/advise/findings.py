"""Every rule applied to every end."""

from collections.abc import Iterable
from dataclasses import dataclass

from lab.advise.disk import Spot
from lab.advise.rule import Verdict
from lab.advise.rules import RULES
from lab.advise.subject import Subject


@dataclass(frozen=True)
class Finding:
    """What a rule says of one end of a tunnel."""

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
    """All findings, end by end."""
    findings = []
    for subject in subjects:
        for rule in RULES:
            said = rule.judge(subject)
            findings.append(
                Finding(
                    subject=subject.name,
                    rule=rule.name,
                    failure=rule.failure,
                    verdict=said.verdict,
                    why=_printable(said.why),
                    lines=said.spots,
                    do=said.do,
                    source=rule.source,
                    test=rule.test,
                )
            )
    return findings


def _printable(text: str) -> str:
    """Values of a file go to a terminal, and may hold anything."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
