"""The resource of a worker that a block needs, so that one block at a time runs on a machine."""

from typing import Final

BLOCK: Final = "lab-block"
"""A worker has one of it."""
