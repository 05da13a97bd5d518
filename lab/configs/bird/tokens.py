"""The words of BIRD's configurations, with included files in place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from lab.configs.disk import Disk, Spot, Unreadable
from lab.topology.mistakes import quote

MAX_SIZE = 4 << 20
"""The maximum size of a configuration in bytes, with its includes."""
_MAX_DEPTH = 8
"""BIRD's limit of nested includes."""
_MAX_INCLUDES = 1000

TokenKind = Literal["name", "number", "address", "string", "sign"]


class Token(NamedTuple):
    """A word, number, address, string or sign."""

    kind: TokenKind
    text: str
    """Without quotation marks."""
    spot: Spot


@dataclass(frozen=True)
class Missing:
    """An included file that is not at hand."""

    name: str
    spot: Spot


@dataclass
class Source:
    """The words of a file and its includes."""

    tokens: list[Token] = field(default_factory=list)
    paths: list[PurePosixPath] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)


_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\f\v]+|\#[^\n]*)
    | (?P<lines>\n)
    | (?P<comment>/\*(?:[^*]|\*(?!/))*(?:\*/|\Z))
    | "(?P<string>[^"\n]*)"
    | '(?P<quoted>[^'\n]*)'
    | (?P<address>\d{1,3}(?:\.\d{1,3}){3}(?![\w.]) | (?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f:.]*(?![\w]) )
    | (?P<number>0[xX][0-9A-Fa-f]+ | \d+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>!~ | != | <= | >= | && | \|\| | \.\. | -> | ::? | \S)
    """,
    re.VERBOSE | re.ASCII,
)
_KINDS: dict[str | None, TokenKind] = {
    "string": "string",
    "address": "address",
    "number": "number",
    "name": "name",
    "sign": "sign",
}
_INCLUDE = re.compile(r'[ \t]*include[ \t]+"([^"\n]*)"[ \t]*;')


def read_source(path: PurePosixPath, disk: Disk) -> Source:
    """Read a file and its includes; raises `Unreadable` with file and line."""
    reader = _Reader(disk)
    reader.read(disk.text(path, MAX_SIZE), path, 1)
    return reader.source


def parse_source(text: str, path: PurePosixPath, disk: Disk) -> Source:
    """Split a text; raises `Unreadable` with file and line."""
    reader = _Reader(disk)
    reader.read(text, path, 1)
    return reader.source


class _Reader:
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._size = 0
        self._includes = 0
        self.source = Source()

    def read(self, text: str, path: PurePosixPath, depth: int) -> None:
        name = self._disk.name(path)
        self._size += len(text)
        if self._size > MAX_SIZE:
            raise Unreadable(f"{name}: with its includes longer than {MAX_SIZE} characters, not a configuration")
        self.source.paths.append(path)
        for token, target in _tokens(text, name):
            if target is None:
                self.source.tokens.append(token)
            else:
                self._include(target, token.spot, path, depth)

    def _include(self, target: str, spot: Spot, path: PurePosixPath, depth: int) -> None:
        self._includes += 1
        if depth == _MAX_DEPTH or self._includes > _MAX_INCLUDES:
            raise Unreadable(f"{spot}: include {quote(target)}: too many or too deep; does it include itself?")
        # An absolute path replaces the directory of the including file.
        pattern = path.parent / target
        try:
            found = self._matching(pattern)
            texts = [(file, self._disk.text(file, MAX_SIZE)) for file in found]
        except Unreadable:
            self.source.missing.append(Missing(target, spot))
            return
        for file, text in texts:
            self._includes += 1
            self.read(text, file, depth + 1)

    def _matching(self, pattern: PurePosixPath) -> list[PurePosixPath]:
        if not any(char in pattern.name for char in "*?["):
            return [pattern]
        return [file for file in self._disk.files(pattern.parent) if fnmatchcase(file.name, pattern.name)]


def _tokens(text: str, name: str) -> Iterator[tuple[Token, str | None]]:
    """Generate the tokens of a text; an `include` is a token with its target."""
    line, at, start_of_line = 1, 0, True
    spot = Spot(name, 1)
    text = text.removeprefix("\ufeff")
    while at < len(text):
        if start_of_line and (include := _INCLUDE.match(text, at)):
            yield Token("name", "include", spot), include[1]
            at = include.end()
            start_of_line = False
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise Unreadable(f"{spot}: not a configuration of BIRD: {quote(text[at : at + 20])}")
        at = match.end()
        kind, value = match.lastgroup, match[match.lastgroup or 0]
        if kind == "lines":
            line += 1
            spot, start_of_line = Spot(name, line), True
        elif kind == "comment":
            if not value.endswith("*/") or len(value) < 4:
                raise Unreadable(f"{spot}: a comment that is not closed: `*/` is missing")
            line += value.count("\n")
            spot = Spot(name, line)
        elif kind == "quoted":
            yield Token("name", value, spot), None
        elif kind in _KINDS:
            if kind == "sign" and value in "\"'":
                raise Unreadable(f"{spot}: no closing quotation mark ({value})")
            yield Token(_KINDS[kind], value, spot), None
        start_of_line = start_of_line and kind in ("space", "lines", "comment")
