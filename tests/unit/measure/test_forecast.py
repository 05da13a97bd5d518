"""The forecast of a plan against trials that ran: their durations are in tests/data/measure/durations.json."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from lab.measure.trials.detector import Detector
from lab.measure.trials.events import EVENTS

DURATIONS = Path(__file__).parents[2] / "data" / "measure" / "durations.json"
"""A trial in a row: medium, event, detector, seconds. One trial of each, on two busy processors, engine crun."""
TRIALS = [(event, detector, seconds) for _, event, detector, seconds in json.loads(DURATIONS.read_text())]
DETECTORS = sorted({detector for _, detector, _ in TRIALS})


def forecast(event: str, detector: str) -> float:
    return EVENTS[event].expected_seconds(Detector.parse(detector))


def test_forecast_of_all_events_is_right_within_a_third() -> None:
    took = sum(seconds for _, _, seconds in TRIALS)
    assert sum(forecast(event, detector) for event, detector, _ in TRIALS) == pytest.approx(took, rel=1 / 3)


@pytest.mark.parametrize("detector", DETECTORS)
def test_forecast_of_a_detector_is_right_within_a_third(detector: str) -> None:
    of = [(event, seconds) for event, by, seconds in TRIALS if by == detector]
    took = sum(seconds for _, seconds in of)
    assert sum(forecast(event, detector) for event, _ in of) == pytest.approx(took, rel=1 / 3)


def test_forecast_of_each_event_is_right_within_half() -> None:
    took: dict[str, float] = defaultdict(float)
    expected: dict[str, float] = defaultdict(float)
    for event, detector, seconds in TRIALS:
        took[event] += seconds
        expected[event] += forecast(event, detector)
    assert dict(expected) == pytest.approx(dict(took), rel=1 / 2)


@pytest.mark.parametrize(("hold", "until"), [(6, 6.2), (9, 12.6), (30, 51.0)])
def test_blackhole_lasts_until_the_next_retransmission(hold: int, until: float) -> None:
    by = f"hold {hold} s"
    assert forecast("blackhole", by) - forecast("link-down", by) == pytest.approx(until - hold)
