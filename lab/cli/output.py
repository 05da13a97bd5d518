"""What commands print: tables and JSON to stdout, progress to stderr."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from typing import IO, TYPE_CHECKING, Any

from lab.core.progress import Say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE = 1000
"""Columns of a table that nobody looks at in a terminal: never wrap what a program may read."""


def print_json(data: Any) -> None:
    """Print data as JSON: dataclasses as objects, times in ISO 8601, prefixes and addresses as text."""
    print(json.dumps(plain(data), indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; a column called `#…` is aligned to the right."""
    console = _console(sys.stdout)
    console.print(table(columns, rows, title=title))
    console.print()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> "Table":
    """A table as all of ours look, to be shown."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        # What does not fit goes on in the next line: nothing is cut off.
        made.add_column(column.lstrip("#"), justify="right" if column.startswith("#") else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return made


def verdict(good: bool, text: str) -> Any:
    """A cell that shows at a glance whether something is as it should be."""
    from rich.text import Text

    return Text(text, style="green" if good else "bold red")


@contextmanager
def progress() -> Iterator[Say]:
    """Tell what goes on: one line that changes on a terminal, plain lines elsewhere; both on stderr."""
    if not sys.stderr.isatty():
        yield lambda step: print(step, file=sys.stderr, flush=True)
        return
    from rich.markup import escape

    with _console(sys.stderr).status("") as status:
        yield lambda step: status.update(escape(step))


def few(names: Iterable[object], most: int = 3) -> str:
    """Return the first few names, and the number of the others: `a, b, c and 47 more`."""
    known = list(names)
    shown = ", ".join(map(str, known[:most]))
    return shown if len(known) <= most else f"{shown} and {len(known) - most} more"


def span(seconds: float) -> str:
    """A time that has passed, as `1:02:03`."""
    return str(timedelta(seconds=int(seconds)))


def _console(file: IO[str]) -> "Console":
    from rich.console import Console

    return Console(file=file, width=None if file.isatty() else _WIDE, highlight=False)


def plain(value: Any) -> Any:
    """Data as JSON knows it: dataclasses as objects, times in ISO 8601, prefixes and addresses as text."""
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
