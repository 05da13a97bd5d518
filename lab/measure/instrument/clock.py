"""One clock for all times: CLOCK_MONOTONIC, which is the same in all processes and network namespaces of a host.

The kernel stamps packets with CLOCK_REALTIME. The offset between the two is sampled before and after a measurement.
"""

import time
from dataclasses import dataclass
from typing import Self

_SAMPLES = 25
STEP = 0.001
"""Seconds by which the offset may drift during a measurement; a larger change means that the clock was set."""


@dataclass(frozen=True)
class Offset:
    """The offset of CLOCK_REALTIME to CLOCK_MONOTONIC."""

    nanoseconds: int
    error: float
    """The uncertainty in seconds, to either side."""
    taken: int
    """When it was sampled, in nanoseconds of CLOCK_MONOTONIC."""

    @classmethod
    def sample(cls) -> Self:
        """Sample the offset a few times, and return the sample that took the least time."""
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
    """Converts the kernel's packet times to CLOCK_MONOTONIC, by the offsets before and after a measurement."""

    before: Offset
    after: Offset

    @property
    def error(self) -> float:
        """Error in seconds: that of the samples, plus the drift between them."""
        return max(self.before.error, self.after.error) + self.drift

    @property
    def drift(self) -> float:
        """Seconds by which the offset changed between the two samples."""
        return abs(self.after.nanoseconds - self.before.nanoseconds) / 1e9

    @property
    def was_set(self) -> bool:
        """True if the clock was set during the measurement, so that packet times are invalid."""
        return self.drift > STEP

    def monotonic(self, real: int) -> float:
        """Convert nanoseconds of CLOCK_REALTIME to seconds of CLOCK_MONOTONIC, the drift interpolated linearly."""
        span = self.after.taken - self.before.taken
        drifted = self.after.nanoseconds - self.before.nanoseconds
        guess = real - self.before.nanoseconds
        share = min(1.0, max(0.0, (guess - self.before.taken) / span)) if span > 0 else 0.0
        return (guess - int(drifted * share)) / 1e9
