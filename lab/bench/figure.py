"""A measured quantity of a bench."""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One quantity: its values, one per trial, and the target."""

    name: str
    unit: str
    """Empty for a ratio."""
    values: tuple[float, ...]
    aim: str
    """The target on two idle cores, which a busy host may miss; empty if there is none."""

    @property
    def median(self) -> float:
        """The value to quote."""
        return median(self.values)

    def as_dict(self) -> dict[str, Any]:
        """Return the figure as data for JSON."""
        return {**asdict(self), "median": self.median, "min": min(self.values), "max": max(self.values)}
