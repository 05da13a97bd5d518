"""One clock for everything: CLOCK_MONOTONIC, which is the same in all processes and namespaces of a machine.

The kernel stamps packets with CLOCK_REALTIME. How far that is ahead is sampled before and after a measurement.
"""

import time
from dataclasses import dataclass
from typing import Self

_SAMPLES = 25
STEP = 0.001
"""Seconds by which the offset may change during a measurement: more is a clock that was set, and no drift."""


@dataclass(frozen=True)
class Offset:
    """How far CLOCK_REALTIME is ahead of CLOCK_MONOTONIC."""

    nanoseconds: int
    error: float
    """Seconds: the offset is right to plus or minus so much."""
    taken: int
    """When, in nanoseconds of CLOCK_MONOTONIC."""

    @classmethod
    def sample(cls) -> Self:
        """The reading of a few that took least time."""
        best: tuple[int, int, int] | None = None
        for _ in range(_SAMPLES):
            before, real, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
            if best is None or after - before < best[0]:
                best = after - before, real - (before + after) // 2, (before + after) // 2
        assert best is not None
        width, offset, taken = best
        return cls(offset, width / 2e9, taken)


@dataclass(frozen=True)
class Clock:
    """Turns the kernel's packet times into monotonic ones, by the offsets before and after."""

    before: Offset
    after: Offset

    @property
    def error(self) -> float:
        """Seconds: the readings' own error, and what the clocks drifted apart meanwhile."""
        return max(self.before.error, self.after.error) + self.drift

    @property
    def drift(self) -> float:
        """Seconds that CLOCK_REALTIME went differently between the two readings."""
        return abs(self.after.nanoseconds - self.before.nanoseconds) / 1e9

    @property
    def was_set(self) -> bool:
        """True where somebody set the clock meanwhile: packet times are worthless."""
        return self.drift > STEP

    def monotonic(self, real: int) -> float:
        """Seconds of CLOCK_MONOTONIC for nanoseconds of CLOCK_REALTIME, the drift shared out evenly."""
        span = self.after.taken - self.before.taken
        drifted = self.after.nanoseconds - self.before.nanoseconds
        guess = real - self.before.nanoseconds
        share = min(1.0, max(0.0, (guess - self.before.taken) / span)) if span > 0 else 0.0
        return (guess - int(drifted * share)) / 1e9
