"""Lines that a topology file adds verbatim to the configurations of daemons, each with its place."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lab.topology.intent import Extra


class ExtraLine(NamedTuple):
    """A line with its place, as in `mine.clab.yml:17: topology.nodes.hq.config.vars.router.extra`."""

    text: str
    at: str


def extra_lines(extra: Extra) -> tuple[str, ...]:
    """Return the lines of a text, or of a list of lines."""
    items = (extra,) if isinstance(extra, str) else extra
    return tuple(line.rstrip() for item in items if item for line in split_lines(item))


def placed(extra: Extra, places: Sequence[str], otherwise: str) -> tuple[ExtraLine, ...]:
    """Return the lines of a value with their places; `otherwise` is the place of all if `places` does not match."""
    lines = extra_lines(extra)
    known = places if len(places) == len(lines) else [otherwise] * len(lines)
    return tuple(ExtraLine(text, at) for text, at in zip(lines, known, strict=True))


def insert_extra(text: str, marks: Mapping[str, ExtraLine]) -> tuple[str, Mapping[int, ExtraLine]]:
    """Replace marks in a rendered text, each alone on its line; return the text and its extra lines by number."""
    numbered: dict[int, ExtraLine] = {}
    rendered = text.split("\n")
    for number, line in enumerate(rendered, 1):
        if (extra := marks.get(line.strip())) is not None:
            numbered[number] = extra
            rendered[number - 1] = extra.text
    return "\n".join(rendered), numbered


def split_lines(text: str) -> list[str]:
    """Return the lines of a text, without those that are empty at its end."""
    return text.rstrip("\n").split("\n")
