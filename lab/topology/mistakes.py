"""Mistakes in a topology file, each with its place."""

from dataclasses import dataclass
from pathlib import Path

from lab.errors import InputError
from lab.topology.model import Place


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong: where it stands, what it is and, where that can be told, what was meant."""

    place: Place
    key: str
    """The key path, e.g. `topology.nodes.hq.config.vars.router.asn`; empty for the file as a whole."""
    what: str
    hint: str | None = None
    """What to do, e.g. `did you mean 'sysctls'?`."""

    def __str__(self) -> str:
        where = f"{self.place.file}:{self.place.line}:{self.place.column}: "
        key = f"{self.key}: " if self.key else ""
        return where + key + self.what + (f"; {self.hint}" if self.hint else "")


class TopologyError(InputError):
    """A topology file with mistakes: all of them, in the file's order, one line each."""

    def __init__(self, file: Path, mistakes: list[Mistake]) -> None:
        self.file = file
        self.mistakes = sorted(mistakes, key=lambda m: (m.place.line, m.place.column, m.key))
        super().__init__("\n".join(str(m) for m in self.mistakes))
