"""Stages, errors and flags of a trace made by hand."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, ip_network
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.core.outcome import Outcome
from lab.measure.instrument.armed import Seen
from lab.measure.instrument.changes import Change, History
from lab.measure.instrument.clock import Clock, Offset
from lab.measure.instrument.convergence import Stream
from lab.measure.instrument.evaluation import Evaluation, Findings, ObservedEvent
from lab.measure.instrument.probe import Sent, Trace
from lab.measure.instrument.tape import READING_ERROR, Recorded
from lab.measure.instrument.updates import Crossing
from lab.observe import FibEntry
from lab.routing import RibEvent
from lab.routing.update import Update

PREFIX = ip_network("10.9.0.0/24")
assert isinstance(PREFIX, IPv4Network)
EVENT = 100.0
RATE = 1000.0
ENTRY = cast(FibEntry, SimpleNamespace(interfaces=("tun0",)))


@dataclass
class Made:
    """An announced prefix: UPDATE after 5 ms, RIB after 8, FIB after 10, and packets from then on."""

    update: float = 0.005
    rib: float = 0.008
    fib: float = 0.010
    packets: float = 0.010
    """Seconds after the event from which packets arrive."""
    refused: int = 0
    late: float = 0.0
    no_real_time: str = ""
    lost: list[bool] = field(default_factory=lambda: [False, False])
    drift: int = 0
    down: float | None = None
    flowing_until: float | None = None
    """Seconds after the event until which packets arrive that flowed before; None if none flowed."""
    phase: float = 0.0
    """Seconds from the event until the next packet is sent."""
    recovery: bool = False
    uncertainty: float = 0.0
    chance: frozenset[int] = frozenset()
    """Numbers of packets that the path loses besides; the event is at packet 50."""

    def findings(self, outcome: Outcome = "appears", late: str = "") -> Findings:
        sent = [EVENT - 0.05 + self.phase + n / RATE for n in range(400)]
        until = -1.0 if self.flowing_until is None else self.flowing_until
        gone = outcome == "vanishes"
        arrivals = [
            (time + 0.0002, n)
            for n, time in enumerate(sent)
            if n not in self.chance and (time < EVENT + until or (time >= EVENT + self.packets and not gone))
        ]
        log = [(int((t + self.late) * 1e9), int((t + self.late) * 1e9) + 1000, 0) for t in sent]
        log[-1] = (*log[-1][:2], self.refused)
        trace = Trace(
            [Stream(str(PREFIX), sent, arrivals, 0.1)],
            Sent(RATE, int(sent[0] * 1e9), 1, log, self.no_real_time),
            lost_by_receiver=False,
        )
        rib = [RibEvent(EVENT + self.rib, "best", PREFIX, None)]
        if self.down is not None:
            rib.insert(0, RibEvent(EVENT + self.down, "down", None, None))
        offset = Offset(0, 1e-6, 0)
        seen = Seen(
            clock=Clock(offset, Offset(self.drift, 1e-6, 10**9)),
            recorded=Recorded([[], []], self.lost, [False, False], []),
            history=History([Change(EVENT + self.fib, PREFIX, None if gone else ENTRY)], [], {PREFIX: ENTRY}),
            crossings=[Crossing(EVENT + self.update, Update(frozenset({PREFIX}), frozenset()))],
            rib=rib,
            trace=trace,
        )
        armed = SimpleNamespace(
            observer=SimpleNamespace(name="branch"),
            prefixes=[PREFIX],
            before={PREFIX: None},
            flowing=set() if self.flowing_until is None else {PREFIX},
            monitor=SimpleNamespace(source="bmp", error=0.0005, socket=None),
            unmonitored="",
        )
        event = ObservedEvent(EVENT, self.uncertainty, outcome, late, self.recovery)
        return Evaluation(cast(Any, armed), seen, event).findings()

    def times(self, outcome: Outcome) -> dict[str, float | None]:
        """Return the times of the data plane, without those that the event does not have."""
        plane = self.findings(outcome).data_plane
        assert plane is not None
        names = ("until_stopped", "until_back", "loss_derived", "loss_of_connectivity", "rate_derived")
        return {name: time for name in names if (time := getattr(plane, name)) is not None}


def test_stages_have_the_times_of_the_trace() -> None:
    found = Made().findings()
    assert (found.status, found.reason, found.flags) == ("valid", "", ())
    at = {stage.name: stage.at for stage in found.stages}
    assert at == pytest.approx(
        {"event": 0.0, "update": 0.005, "rib": 0.008, "fib": 0.010, "first-packet": 0.0102}, abs=1e-6
    )
    errors = {stage.name: stage.error for stage in found.stages}
    assert errors["fib"] == READING_ERROR
    assert all(error > 0 for name, error in errors.items() if name != "event")
    assert {stage.node for stage in found.stages} == {"branch"}


def test_data_plane_counts_the_lost_packets() -> None:
    """Packets 50 to 59 were sent in the first 10 ms: ten are lost, at 1,000 a second."""
    plane = Made().findings().data_plane
    assert plane is not None
    assert (plane.sent, plane.received, plane.lost) == (350, 340, 10)
    assert plane.loss_derived == pytest.approx(0.010)
    assert plane.route_specific == {str(PREFIX): pytest.approx(0.010)}
    assert plane.achieved == pytest.approx(RATE, rel=1e-6)


NO_TIMES: dict[str, float] = {}


def test_traffic_that_dies_with_the_event_has_no_times() -> None:
    """One packet was on its way; then nothing arrives, and the route goes when the neighbour is declared down."""
    made = Made(flowing_until=0.0008, phase=0.0004, fib=0.3, update=0.2, rib=0.29)
    plane = made.findings("vanishes").data_plane
    assert plane is not None
    assert (plane.sent, plane.received, plane.lost) == (350, 1, 349)
    assert made.times("vanishes") == NO_TIMES
    assert plane.route_specific == {}


def test_packet_lost_by_chance_is_no_interruption() -> None:
    """The route moves 200 ms after the event without loss, and a packet is lost 100 ms earlier."""
    made = Made(flowing_until=0.2, packets=0.2, fib=0.2, chance=frozenset({150}))
    found = made.findings("moves")
    assert found.data_plane is not None
    assert (found.data_plane.lost, found.data_plane.lost_in_a_row, found.data_plane.outage) == (1, 1, 0)
    assert made.times("moves") == NO_TIMES
    flag = "packets were lost, 1 in a row at most: chance may lose as many, so they are not taken for an interruption"
    assert found.flags == (flag,)
    # The control: the packet is lost when the route moves, and then it is the interruption.
    made.chance = frozenset({250})
    assert made.times("moves") == {
        "until_stopped": pytest.approx(0.199),
        "until_back": pytest.approx(0.201),
        "loss_of_connectivity": pytest.approx(0.001),
        "rate_derived": pytest.approx(0.210),
    }
    control = made.findings("moves")
    assert control.flags == ()
    assert control.data_plane is not None
    assert control.data_plane.outage == 1


def test_packet_lost_by_chance_changes_no_time_of_an_interruption() -> None:
    made = Made(flowing_until=0.1, packets=0.15, fib=0.15)
    calm = made.times("moves")
    made.chance = frozenset({90, 300})
    assert made.times("moves") == {**calm, "loss_of_connectivity": pytest.approx(0.052)}
    plane = made.findings("moves").data_plane
    assert plane is not None
    assert (plane.lost, plane.lost_in_a_row, plane.outage) == (52, 50, 50)


def test_traffic_that_is_delivered_for_a_while_has_a_time_until_it_stopped() -> None:
    made = Made(flowing_until=0.1105, fib=0.110)
    assert made.times("vanishes") == {"until_stopped": pytest.approx(0.110)}
    # An event that takes longer than that, such as the start of a process, does not tell which packets were ahead.
    made.uncertainty = 0.2
    assert made.times("vanishes") == NO_TIMES


def test_interrupted_traffic_has_the_times_of_rfc_6412() -> None:
    at_once = Made(flowing_until=0.0, packets=0.040).times("moves")
    assert at_once == {
        "until_back": pytest.approx(0.040),
        "loss_derived": pytest.approx(0.040),
        "loss_of_connectivity": pytest.approx(0.040),
        "rate_derived": pytest.approx(0.040),
    }
    later = Made(flowing_until=0.0195, packets=0.040).times("moves")
    assert later == {
        "until_stopped": pytest.approx(0.019),
        "until_back": pytest.approx(0.040),
        "loss_of_connectivity": pytest.approx(0.020),
        "rate_derived": pytest.approx(0.040),
    }


def test_traffic_comes_back_only_if_it_flowed_before() -> None:
    assert Made().times("appears") == {"loss_derived": pytest.approx(0.010), "rate_derived": pytest.approx(0.010)}
    assert Made(recovery=True).times("appears")["until_back"] == pytest.approx(0.010)


def test_traffic_that_should_come_back_and_does_not_has_no_times() -> None:
    made = Made(flowing_until=0.0, packets=100.0)
    for outcome in ("moves", "returns"):
        assert made.times(outcome) == NO_TIMES


def test_traffic_without_an_interruption_has_no_times() -> None:
    assert Made(flowing_until=100.0).times("nothing") == NO_TIMES


@pytest.mark.parametrize(("packets", "said"), [(0.030, "after"), (0.003, "before")])
def test_planes_that_disagree_beyond_their_error_are_flagged(packets: float, said: str) -> None:
    (flag,) = [flag for flag in Made(packets=packets).findings().flags if "the packets changed" in flag]
    assert f"{said} the FIB" in flag


def test_route_that_carries_nothing_is_flagged_and_has_no_time() -> None:
    found = Made(packets=100.0).findings()
    assert found.data_plane is not None
    assert (found.data_plane.received, found.data_plane.route_specific) == (0, {})
    assert found.data_plane.loss_derived is None
    assert [flag for flag in found.flags if flag == f"no probe packet arrived at {PREFIX}, although there is a route"]
    assert not [flag for flag in Made().findings().flags if "although" in flag]


def test_impossible_order_of_stages_is_flagged() -> None:
    assert any("fib came" in flag and "before rib" in flag for flag in Made(rib=0.02, fib=0.010).findings().flags)


def test_neighbour_going_down_is_the_detection() -> None:
    (stage,) = [stage for stage in Made(down=0.002).findings().stages if stage.name == "detection"]
    assert stage.at == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (Made(refused=3), "refused packets: 3 look like lost ones"),
        (Made(late=0.5), "fell behind"),
        (Made(lost=[True, False]), "dropped route events"),
        (Made(drift=5_000_000), "the clock was set"),
    ],
    ids=["refused", "late", "lost", "clock"],
)
def test_invalid_measurement_names_the_reason(made: Made, why: str) -> None:
    found = made.findings()
    assert found.status == "invalid"
    assert why in found.reason


def test_dropped_captured_packets_are_flagged() -> None:
    found = Made(lost=[False, True]).findings()
    assert found.status == "valid"
    assert any("an UPDATE may be missing" in flag for flag in found.flags)


def test_sender_without_real_time_priority_is_in_the_record() -> None:
    refused = Made(no_real_time="Operation not permitted").findings()
    assert "the sender of probe packets had no real-time priority: Operation not permitted" in refused.flags
    granted = Made().findings()
    assert refused.data_plane is not None
    assert granted.data_plane is not None
    assert (refused.data_plane.real_time, granted.data_plane.real_time) == (False, True)
    assert not granted.flags


def test_missed_deadline_times_the_measurement_out() -> None:
    found = Made().findings(late="it did not come")
    assert (found.status, found.reason) == ("timed-out", "it did not come")
