"""Mistakes in a topology file, each with its place."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.core.errors import InputError
from lab.topology.model import Place
from lab.topology.own import Remark

KeyPath = tuple[str | int, ...]

MAX_QUOTE_LENGTH = 60
"""The maximum length of a value that a message quotes."""


@dataclass(frozen=True)
class Mistake:
    """A mistake in a file: its place, what is wrong and, if known, what to do."""

    place: Place
    key: str
    """The key path, e.g. `topology.nodes.hq.config.vars.router.asn`; empty for the file as a whole."""
    what: str
    hint: str | None = None
    """The remedy, e.g. `did you mean 'sysctls'?`."""

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


class Located(Protocol):
    """A part of the file, with its place and its key path."""

    @property
    def place(self) -> Place: ...

    @property
    def path(self) -> KeyPath: ...


class Findings:
    """Collects mistakes and notes: the reader goes on after each, so that all are reported at once."""

    def __init__(self, file: Path) -> None:
        self.file = file
        # A dict keeps the order and drops duplicates: several nodes may inherit one wrong line.
        self._mistakes: dict[Mistake, None] = {}
        self._notes: dict[tuple[str, str], Remark] = {}

    def add(self, at: Located, what: str, hint: str | None = None) -> None:
        """Note a mistake at the place of `at`."""
        self._mistakes[Mistake(at.place, key_path(at.path), what, hint)] = None

    def add_whole(self, what: str, hint: str | None = None, *, key: str = "") -> None:
        """Note a mistake without a line in the file, such as one in an override."""
        self._mistakes[Mistake(Place(self.file, 1, 1), key, what, hint)] = None

    def note(self, at: Located, node: str, what: str) -> None:
        """Note something valid with an effect that the file's author may not expect; each place once."""
        place = f"{at.place.file.name}:{at.place.line}"
        self._notes.setdefault((place, what), Remark(kind="note", node=node, place=place, what=what))

    @property
    def notes(self) -> tuple[Remark, ...]:
        """All notes, in the order in which they were found."""
        return tuple(self._notes.values())

    def __len__(self) -> int:
        return len(self._mistakes)

    def raise_any(self) -> None:
        """Raise TopologyError if there is any mistake."""
        if self._mistakes:
            raise TopologyError(self.file, list(self._mistakes))


def key_path(path: KeyPath) -> str:
    """Return a key path as in messages: `topology.links[0].endpoints[1]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            plain = re.fullmatch(r"[\w.:/<-]{1,64}", step) is not None
            text += ("." if text else "") + (step if plain else quote(step))
    return text


def quote(value: object) -> str:
    """Quote a value of the file for a message: on one line and not too long."""
    text = str(value)
    return repr(text if len(text) <= MAX_QUOTE_LENGTH else text[: MAX_QUOTE_LENGTH - 1] + "…")


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known word that is most similar to `word`, or None if none is similar."""
    # A longer word is not a typing error, and the comparison takes quadratic time.
    matches = difflib.get_close_matches(word[:MAX_QUOTE_LENGTH], list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the hint for a misspelt word, or None if no known word is similar."""
    match = nearest(word, known)
    return f"did you mean {match!r}?" if match is not None else None


def one_of(words: Iterable[str]) -> str:
    """List words for a message."""
    return ", ".join(repr(word) for word in words)
