"""A topology file with some of its text replaced."""

from pathlib import Path
from typing import Any

from lab.catalogue import vocabulary
from lab.topology import Topology, parse


def edited(file: Path, *changes: tuple[str, str], **how: Any) -> Topology:
    """Read a file with changes, each a pair of old and new text; `how` is passed to `parse`."""
    text = file.read_text()
    for old, new in changes:
        assert old in text, f"{file.name} has no {old!r} any more"
        text = text.replace(old, new)
    return parse(text, file, vocabulary(), **{"environ": {}, **how})
