"""How long work tells what it is doing: a function that takes one line."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Called with a line of plain text at each step."""


def quiet(_: str) -> None:
    """Discard progress."""
