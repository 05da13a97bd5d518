"""A rule: one silent failure, and a function that judges if an end of a tunnel is exposed to it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from lab.advise.subject import Subject
from lab.configs.disk import Spot


class Verdict(StrEnum):
    """The verdict of a rule; `CANNOT_TELL` if the files do not decide it."""

    EXPOSED = "exposed"
    NOT_EXPOSED = "not exposed"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Judgement:
    """A rule's verdict, with its reason."""

    verdict: Verdict
    why: str
    spots: tuple[Spot, ...] = ()
    """The lines that are the evidence; empty if a missing line is the reason."""
    do: str = ""
    """The remedy; with `CANNOT_TELL`, how to find out."""


@dataclass(frozen=True)
class Rule:
    """A failure that no program reports, and the function that recognises it."""

    name: str
    failure: str
    """The failure in one sentence."""
    looks_at: tuple[str, ...]
    """The options that the verdict depends on."""
    source: str
    """The documentation or the source code that describes it."""
    judge: Callable[[Subject], Judgement]
    test: str | None = None
    """The name of the test that reproduces it."""


def exposed(why: str, *spots: Spot, do: str) -> Judgement:
    """Return the judgement that the failure can happen."""
    return Judgement(Verdict.EXPOSED, why, tuple(dict.fromkeys(spots)), do)


def safe(why: str, *spots: Spot) -> Judgement:
    """Return the judgement that the failure cannot happen."""
    return Judgement(Verdict.NOT_EXPOSED, why, tuple(dict.fromkeys(spots)))


def unknown(why: str, *spots: Spot, do: str) -> Judgement:
    """Return the judgement that the files do not decide it; `do` is how to find out."""
    return Judgement(Verdict.CANNOT_TELL, why, tuple(dict.fromkeys(spots)), do)
