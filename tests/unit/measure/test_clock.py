"""Conversion of the kernel's packet times to CLOCK_MONOTONIC."""

import time

import pytest

from lab.measure.instrument.clock import STEP, Clock, Offset


def test_realtime_is_converted_to_monotonic() -> None:
    before = Offset.sample()
    low, real, high = time.monotonic(), time.time_ns(), time.monotonic()
    clock = Clock(before, Offset.sample())
    assert low - clock.error <= clock.monotonic(real) <= high + clock.error
    assert not clock.was_set


def test_drift_is_interpolated_and_counted_as_error() -> None:
    """CLOCK_REALTIME gains 100 µs in ten seconds."""
    clock = Clock(Offset(1_000_000_000, 1e-6, 10_000_000_000), Offset(1_000_100_000, 2e-6, 20_000_000_000))
    assert clock.error == pytest.approx(102e-6)
    assert clock.monotonic(11_000_000_000) == pytest.approx(10.0)
    assert clock.monotonic(16_000_050_000) == pytest.approx(15.0, abs=1e-8)
    assert clock.monotonic(21_000_100_000) == pytest.approx(20.0, abs=1e-8)


def test_clock_that_was_set_is_detected() -> None:
    assert Clock(Offset(0, 1e-6, 0), Offset(int(STEP * 1e9) + 1, 1e-6, 10)).was_set
