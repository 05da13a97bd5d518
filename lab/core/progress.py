"""The function by which long work reports its progress."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Is called with a line of plain text at each step."""


def quiet(_: str) -> None:
    """Discard progress."""
