"""Callbacks that report the progress of long operations."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Called with a line of plain text at each step."""


def quiet(_: str) -> None:
    """Discard progress."""
