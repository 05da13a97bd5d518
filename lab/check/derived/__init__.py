"""The expectations that follow from a topology, or from the user's own files, without a checks file."""

from lab.check.derived.derive import derive

__all__ = ["derive"]
