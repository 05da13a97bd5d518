"""Event times: recorded in a lab, received by the measurements of that lab alone."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.core.event_times import EventTimes
from lab.fault import FaultAction, FaultKind, FaultSite, apply
from lab.measure.instrument import measurement
from lab.measure.instrument.measurement import Measurement
from lab.runtime.lab import Lab
from lab.topology import Topology


def test_listener_receives_the_times_of_an_event() -> None:
    heard: list[tuple[float, float]] = []
    times = EventTimes()
    with times.listening(lambda since, until: heard.append((since, until))):
        before = time.monotonic()
        with times.timing():
            inside = time.monotonic()
        times.record(1.0, 2.0)
    times.record(3.0, 4.0)
    (since, until), recorded = heard
    assert before <= since <= inside <= until <= time.monotonic()
    assert recorded == (1.0, 2.0)


def test_failed_block_is_not_recorded_as_an_event() -> None:
    heard: list[tuple[float, float]] = []
    times = EventTimes()

    def fail() -> None:
        with times.timing():
            raise ValueError

    with times.listening(lambda since, until: heard.append((since, until))), pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert heard == []


class Nudge(FaultKind):
    """A fault without effect."""

    kind = "nudge"
    summary = "nothing"
    lasting = False

    def __str__(self) -> str:
        return "nothing broken"

    def prepare(self, site: FaultSite) -> FaultAction:
        return FaultAction(lambda: None)

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        return FaultAction(lambda: None)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes a measurement at a lab's node; it watches nothing but the event."""

    class Armed:
        expected = "appears"

        def __enter__(self) -> "Armed":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def finish(self, _: float) -> Any:
            return SimpleNamespace(trace=None)

    findings = SimpleNamespace(status="valid", reason="", stages=(), data_plane=None, timeline=(), flags=())
    monkeypatch.setattr("lab.measure.instrument.armed.Armed.arm", lambda *_, **__: Armed())
    monkeypatch.setattr(measurement, "Evaluation", lambda *_: SimpleNamespace(findings=lambda: findings))
    monkeypatch.setattr(Measurement, "_wait", lambda *_: "appears")

    def at(lab: Lab, node: str) -> Measurement:
        observer: Any = SimpleNamespace(name=node, running=lab.running_nodes[node])
        return Measurement(observer, [], results=lab.results)

    return at


def test_event_of_one_lab_does_not_set_the_event_time_of_a_measurement_in_another(
    measure: Any, article: Topology, tmp_path: Path
) -> None:
    none: Any = None
    own, other = (Lab(article, none, tmp_path / name, none, {}) for name in ("own", "other"))
    with measure(own, "branch") as m:
        apply(other, Nudge())
        with other.running_nodes["branch"].event_times.timing():
            pass
        began = apply(own, Nudge()).began
    assert m.event == began.since
    with measure(other, "branch") as m:
        apply(own, Nudge())
        after = time.monotonic()
        with other.running_nodes["hq"].event_times.timing():
            before = time.monotonic()
    assert after <= m.event <= before
