"""How long a plan takes: the prediction, corrected by the pace so far."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.measure.trials.plan import Block, Setting, expected_seconds

DEPLOYED = 6.0
"""Seconds to deploy and to destroy a bed."""


@dataclass(frozen=True)
class Progress:
    """The progress of a run."""

    done: int
    total: int
    left: float
    """Seconds left, by the ratio of the time so far to the predicted one; deployments included."""
    current: str


Watch = Callable[[Progress], None]


def seconds_to_prepare(setting: Setting) -> float:
    """Return how long a machine takes until it can measure blocks of a setting: deployment and warm-up."""
    return DEPLOYED * len(setting.beds) + expected_seconds(setting.warm_up)


def seconds_of_block(block: Block) -> float:
    """Return how long a block takes in beds that are deployed."""
    return expected_seconds(block.tasks)


def seconds_of(settings: Sequence[Setting], machines: int = 1) -> float:
    """Return how long the blocks of settings take if each machine takes the next one as soon as it is free."""
    free: list[tuple[float, int, Setting | None]] = [(0.0, machine, None) for machine in range(max(1, machines))]
    for setting in settings:
        for block in setting.blocks:
            at, machine, deployed = heapq.heappop(free)
            if deployed != setting:
                at += seconds_to_prepare(setting)
            heapq.heappush(free, (at + seconds_of_block(block), machine, setting))
    return max(at for at, _, _ in free)


class Pace:
    """Predicts the time left by the ratio of the time that passed to the time that was predicted for it."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead
        self._spent = self._expected = 0.0

    def add(self, seconds: float, *, expected: float) -> None:
        """Count something that took so long, and was expected to take so long."""
        self._spent += seconds
        self._expected += expected

    def pass_by(self, expected: float) -> None:
        """Take the expected time of something that is done, or will not be done, from the time ahead."""
        self._ahead = max(0.0, self._ahead - expected)

    @property
    def left(self) -> float:
        """Seconds left."""
        return (self._spent / self._expected if self._expected else 1.0) * self._ahead
