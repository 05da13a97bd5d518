"""The output of commands: tables and JSON on stdout, progress on stderr."""

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from itertools import zip_longest
from typing import Any, NamedTuple

from lab.core.progress import Say

_WIDE = 1000
"""Columns of a table that is not written to a terminal: its lines are not wrapped, for programs that read them."""
_GAP = "  "
_BOLD, _GREEN, _RED = "1", "32", "1;31"
"""Attributes of a terminal (console_codes(4))."""


class Verdict(NamedTuple):
    """A cell that is good or bad, shown in green or red."""

    good: bool
    text: str

    def __str__(self) -> str:
        return self.text


def verdict(good: bool, text: str) -> Verdict:
    """Return a cell that is good or bad."""
    return Verdict(good, text)


def print_json(data: Any) -> None:
    """Print data as JSON; see `plain`."""
    print(json.dumps(plain(data), indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; a column named `#…` is aligned to the right."""
    tty = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if tty else _WIDE
    styled = tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    for line in table_lines(title, columns, rows, width=width, styled=styled):
        print(line)
    print()


def table_lines(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, width: int, styled: bool = False
) -> Iterator[str]:
    """Yield the lines of a table at most `width` wide; a cell that is too long is continued on the next line."""
    names = [column.lstrip("#") for column in columns]
    right = [column.startswith("#") for column in columns]
    texts = [[str(cell) for cell in row] for row in rows]
    widths = _widths([names, *texts], width)
    yield _style(title, _BOLD, styled)
    yield from _row_lines(names, widths, right, [_BOLD] * len(names), styled)
    yield "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    for row, cells in zip(rows, texts, strict=True):
        yield from _row_lines(cells, widths, right, [_colour(cell) for cell in row], styled)


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the width of each column: that of its longest line, the widest columns narrowed until the table fits."""
    columns = zip(*rows, strict=True)
    widths = [max(len(line) for cell in column for line in cell.split("\n")) for column in columns]
    least = len(_GAP) * (len(widths) - 1)
    while sum(widths) + least > max(width, least + len(widths)):
        widths[widths.index(max(widths))] -= 1
    return widths


def _row_lines(
    cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], styles: Sequence[str], styled: bool
) -> Iterator[str]:
    columns = [
        [piece for line in cell.split("\n") for piece in _fold(line, width)]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for pieces in zip_longest(*columns, fillvalue=""):
        aligned = [
            piece.rjust(width) if to_right else piece.ljust(width)
            for piece, width, to_right in zip(pieces, widths, right, strict=True)
        ]
        yield _GAP.join(_style(text, style, styled) for text, style in zip(aligned, styles, strict=True)).rstrip()


def _fold(line: str, width: int) -> list[str]:
    """Break a line between words, or inside a word that is longer than a line; nothing is cut off."""
    found = []
    while len(line) > width:
        space = line.rfind(" ", 1, width + 1)
        end = space if space > 0 else width
        found.append(line[:end])
        line = line[end:].lstrip()
    return [*found, line]


def _colour(cell: object) -> str:
    return (_GREEN if cell.good else _RED) if isinstance(cell, Verdict) else ""


def _style(text: str, attributes: str, styled: bool) -> str:
    return f"\x1b[{attributes}m{text}\x1b[0m" if styled and attributes and text.strip() else text


@contextmanager
def progress() -> Iterator[Say]:
    """Show the current step on stderr: on a terminal one line that changes, elsewhere a line for each step."""
    if not sys.stderr.isatty():
        yield lambda step: print(step, file=sys.stderr, flush=True)
        return

    def show(step: str) -> None:
        width = shutil.get_terminal_size().columns
        print(f"\r\x1b[K{step[: width - 1]}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def few(names: Iterable[object], most: int = 3) -> str:
    """Return the first few names, and the number of the others: `a, b, c and 47 more`."""
    known = list(names)
    shown = ", ".join(map(str, known[:most]))
    return shown if len(known) <= most else f"{shown} and {len(known) - most} more"


def span(seconds: float) -> str:
    """Return a duration as `1:02:03`."""
    return str(timedelta(seconds=int(seconds)))


def plain(value: Any) -> Any:
    """Convert data for JSON: dataclasses to objects, times to ISO 8601, prefixes and addresses to text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "model_dump"):  # pydantic's, which is not imported for that
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
