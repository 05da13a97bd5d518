"""What a rule is: one silent failure, and the judgement whether a tunnel's end is exposed to it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from lab.advise.disk import Spot
from lab.advise.subject import Subject


class Verdict(StrEnum):
    """What can be said of a failure. Nothing is guessed."""

    EXPOSED = "exposed"
    NOT_EXPOSED = "not exposed"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Judgement:
    """A rule's verdict, with its reason."""

    verdict: Verdict
    why: str
    spots: tuple[Spot, ...] = ()
    """The lines that it rests on; none where it rests on what is missing."""
    do: str = ""
    """What mends it, or what would tell."""


@dataclass(frozen=True)
class Rule:
    """One failure that makes no noise."""

    name: str
    failure: str
    """The failure in one sentence."""
    looks_at: tuple[str, ...]
    """The options that it depends on."""
    source: str
    """Where it is known from."""
    judge: Callable[[Subject], Judgement]
    test: str | None = None
    """The test of the lab that shows it."""


def exposed(why: str, *spots: Spot, do: str) -> Judgement:
    """It can happen."""
    return Judgement(Verdict.EXPOSED, why, tuple(dict.fromkeys(spots)), do)


def safe(why: str, *spots: Spot) -> Judgement:
    """It cannot happen."""
    return Judgement(Verdict.NOT_EXPOSED, why, tuple(dict.fromkeys(spots)))


def unknown(why: str, *spots: Spot, do: str) -> Judgement:
    """What is at hand does not tell; `do` says what would."""
    return Judgement(Verdict.CANNOT_TELL, why, tuple(dict.fromkeys(spots)), do)
