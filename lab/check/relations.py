"""Relations between the figures of measurements: `fib < 2 s`, `fib < 3 * baseline`, `packets < fib + 100 ms`."""

import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from lab.core.errors import InputError
from lab.measure.record import STAGES
from lab.topology.mistakes import did_you_mean, quote

_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_RELATION = re.compile(r"\s*(?P<stage>[a-z][a-z-]*)\s*(?P<sign><=|>=|<|>)\s*(?P<terms>\S.*?)\s*")
_TERM = re.compile(
    r"(?:(?P<factor>\d+(?:\.\d+)?)\s*\*\s*)?(?P<name>[a-z][a-z0-9-]*)(?:\.(?P<stage>[a-z][a-z-]*))?"
    r"|(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s)"
)
_UNITS = {"ms": 1e-3, "s": 1.0}
_EXAMPLE = "write for example `fib < 2 s` or `fib < 3 * baseline`"


@dataclass(frozen=True)
class Term:
    """A duration, or a multiple of a stage of this or an earlier measurement."""

    factor: float
    """Seconds if `stage` is empty."""
    stage: str = ""
    name: str = ""
    """The earlier measurement; empty for the own one."""

    def __str__(self) -> str:
        if not self.stage:
            return f"{self.factor:g} s"
        times = f"{self.factor:g} * " if self.factor != 1 else ""
        return f"{times}{f'{self.name}.' if self.name else ''}{self.stage}"


@dataclass(frozen=True)
class Relation:
    """A stage of a measurement, compared with a sum of terms."""

    stage: str
    sign: str
    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return f"{self.stage} {self.sign} {' + '.join(map(str, self.terms))}"

    @property
    def needs(self) -> Iterator[tuple[str, str]]:
        """The measurements and stages that it compares; the name of the own measurement is empty."""
        yield "", self.stage
        yield from ((term.name, term.stage) for term in self.terms if term.stage)

    def holds(self, seconds: Mapping[tuple[str, str], float]) -> bool:
        """Return whether it holds; `seconds` has all that it `needs`."""
        total = sum(term.factor * (seconds[term.name, term.stage] if term.stage else 1) for term in self.terms)
        return _COMPARED[self.sign](seconds["", self.stage], total)


def parse(text: str, earlier: Collection[str]) -> Relation:
    """Read a relation; `earlier` are the names of measurements before. Raises `InputError`."""
    match = _RELATION.fullmatch(text)
    if match is None:
        raise InputError(f"{quote(text)} is not a relation; {_EXAMPLE}")
    stage = _known_stage(match["stage"])
    terms = tuple(_term(part.strip(), stage, earlier) for part in match["terms"].split("+"))
    return Relation(stage, match["sign"], terms)


def _term(text: str, stage: str, earlier: Collection[str]) -> Term:
    match = _TERM.fullmatch(text)
    if match is None:
        raise InputError(f"{quote(text)} is neither a duration nor a measurement; {_EXAMPLE}")
    if match["number"]:
        return Term(float(match["number"]) * _UNITS[match["unit"]])
    factor, name = float(match["factor"] or 1), match["name"]
    if match["stage"]:
        return Term(factor, _known_stage(match["stage"]), _known_name(name, earlier))
    if name in earlier:
        return Term(factor, stage, name)
    return Term(factor, _known_stage(name, [*STAGES, *earlier]))


def _known_stage(word: str, known: Collection[str] = STAGES) -> str:
    if word not in STAGES:
        hint = did_you_mean(word, known) or f"there are {', '.join(known)}"
        raise InputError(f"unknown stage {quote(word)}; {hint}")
    return word


def _known_name(word: str, earlier: Collection[str]) -> str:
    if word not in earlier:
        there = f"there are {', '.join(earlier)}" if earlier else "no step before has `as: NAME`"
        raise InputError(f"unknown measurement {quote(word)}; {did_you_mean(word, earlier) or there}")
    return word
