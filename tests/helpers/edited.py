"""A topology file with some of its text replaced: what comes of the change alone."""

from pathlib import Path
from typing import Any

from lab.catalogue import vocabulary
from lab.topology import Topology, parse


def edited(file: Path, *changes: tuple[str, str], **how: Any) -> Topology:
    """Read a file after some changes, each a text that has to be in it and another; `how` as `parse` has it."""
    text = file.read_text()
    for old, new in changes:
        assert old in text, f"{file.name} has no {old!r} any more"
        text = text.replace(old, new)
    return parse(text, file, vocabulary(), **{"environ": {}, **how})
