"""The output of commands: tables and JSON on stdout, progress on stderr."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from lab.core.progress import Say

if TYPE_CHECKING:
    from rich.table import Table

_GAP = "  "


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
    """Print a table: on a terminal by rich, elsewhere as plain lines; a column named `#…` is aligned to the right."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(rich_table(columns, rows, title=title))
    else:
        print("\n".join(table_lines(title, columns, rows)))
    print()


def rich_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> "Table":
    """Return a table for a terminal; a cell that is too long is continued on the next line."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    def styled(cell: object) -> Text:
        style = ("green" if cell.good else "bold red") if isinstance(cell, Verdict) else ""
        return Text(str(cell), style=style)

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        table.add_column(column.lstrip("#"), justify="right" if column.startswith("#") else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(styled, row))
    return table


def table_lines(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the lines of a table for programs and files: aligned, never wrapped, without styles.

    They need no rich, whose import takes a sixth of a second of processor time.
    """
    cells = [[column.lstrip("#") for column in columns]]
    for row in rows:
        # A cell of several lines becomes several rows.
        cells += map(list, zip_longest(*(str(cell).split("\n") for cell in row), fillvalue=""))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row_cells in cells:
        aligned = [
            cell.rjust(width) if column.startswith("#") else cell.ljust(width)
            for column, cell, width in zip(columns, row_cells, widths, strict=True)
        ]
        lines.append(_GAP.join(aligned).rstrip())
    rule = "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    return [title, lines[0], rule, *lines[1:]]


@contextmanager
def progress() -> Iterator[Say]:
    """Show the current step on stderr: on a terminal one line that changes, elsewhere a line for each step."""
    if not sys.stderr.isatty():
        yield lambda step: print(step, file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(file=sys.stderr).status("") as status:
        yield lambda step: status.update(escape(step))


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
