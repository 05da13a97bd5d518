"""The stages of a measured change, in the order in which they have to come."""

from itertools import pairwise

from lab.measure.instrument.measurement import Measurement
from lab.measure.record import StageName

ORDER: tuple[StageName, ...] = ("event", "update", "rib", "fib", "first-packet")


def expect_in_order(measured: Measurement, names: tuple[StageName, ...]) -> None:
    stages = [measured.stage(name) for name in names]
    for one, other in pairwise(stages):
        assert other.at + other.error >= one.at - one.error, f"{other} came before {one}"
    assert all(stage.error > 0 for stage in stages)
