"""Each formula with cases computed by hand, and on synthetic traces with known times."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.measure.instrument.convergence import (
    Counts,
    Stream,
    disagreement,
    first_packet,
    loss_derived,
    loss_of_connectivity,
    rate_derived,
    route_specific,
    until_back,
    until_stopped,
)

RATE = 1000.0
ERROR = 0.0015
"""Seconds after the event in which a packet may have been ahead of it."""
DELAY = 0.0002


def stream(count: int, lost: set[int], *, start: float = 10.0, rate: float = RATE, prefix: str = "p") -> Stream:
    """Return a stream of packets, one every millisecond from 10.0 on, all with the same delay except the lost ones."""
    sent = [start + number / rate for number in range(count)]
    return Stream(prefix, sent, [(time + DELAY, n) for n, time in enumerate(sent) if n not in lost])


# --- by hand -----------------------------------------------------------------------------------------------------


def test_counts() -> None:
    """Six packets: 1 is lost, 3 arrives twice, 4 arrives before 3, 5 takes a second."""
    sent = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    probe = Stream("p", sent, [(1.01, 0), (1.21, 2), (1.41, 4), (1.42, 3), (1.43, 3), (2.5, 5)])
    assert probe.counts(0.0) == Counts(sent=6, received=4, lost=2, duplicated=1, reordered=1)
    assert probe.counts(1.15) == Counts(sent=4, received=3, lost=1, duplicated=1, reordered=1)
    assert probe.counts(1.45) == Counts(sent=1, received=0, lost=1, duplicated=0, reordered=0)
    assert probe.counts(9.0) == Counts(0, 0, 0, 0, 0)


def test_appearing_route_by_hand() -> None:
    """Twenty packets from 10.000 on, the event at 10.005, and packet 12 is the first to arrive."""
    probe = stream(20, set(range(12)))
    event = 10.005
    # Packets 5 to 11 are lost: seven, at 1,000 a second.
    assert route_specific(probe, event, RATE, error=ERROR) == pytest.approx(0.007)
    assert loss_derived([probe], event, RATE, error=ERROR) == pytest.approx(0.007)
    assert until_back([probe], event) == pytest.approx(0.007)
    assert until_stopped([probe], event, flows=True, error=ERROR) is None
    assert probe.outage(event) == range(5, 12)
    assert probe.recovered(event) == 12
    assert first_packet([probe], event) == pytest.approx(10.0122)
    assert probe.changed(event, flows=True) == pytest.approx((10.011, 10.012))


def test_withdrawn_route_by_hand() -> None:
    """The event at 10.005, and packet 8 is the last to arrive, sent 3 ms after the event."""
    probe = stream(20, set(range(9, 20)))
    event = 10.005
    assert until_stopped([probe], event, flows=False, error=ERROR) == pytest.approx(0.003)
    assert until_back([probe], event) is None
    assert probe.last_delivered(event) == 8
    assert probe.changed(event, flows=False) == pytest.approx((10.008, 10.009))
    assert first_packet([probe], event) is None, "no packet arrived after the outage"
    for loss in (loss_derived([probe], event, RATE, error=ERROR), loss_of_connectivity([probe], event, RATE)):
        assert loss is None, "RFC 6412 has no time for traffic that does not come back"


def test_traffic_that_stops_at_the_event_has_no_time() -> None:
    probe = stream(20, set(range(5, 20)))
    assert until_stopped([probe], 10.005, flows=False, error=ERROR) is None
    assert probe.changed(10.005, flows=False) == pytest.approx((10.004, 10.005))


def test_packet_in_flight_is_not_a_time_until_traffic_stopped() -> None:
    """601 packets are sent after the event, and one is received, which was on its way; traffic never comes back."""
    probe = stream(606, set(range(6, 606)))
    event = 10.0045
    counts = probe.counts(event)
    assert (counts.sent, counts.received) == (601, 1)
    assert until_stopped([probe], event, flows=False, error=ERROR) is None
    for came_back in (until_back([probe], event), rate_derived([probe], event)):
        assert came_back is None
    assert loss_derived([probe], event, RATE, error=ERROR) is None
    assert loss_of_connectivity([probe], event, RATE) is None
    assert route_specific(probe, event, RATE, error=ERROR) is None
    # A second packet later than the error is a time.
    later = stream(606, {6, *range(8, 606)})
    assert until_stopped([later], event, flows=False, error=ERROR) == pytest.approx(0.0025)


def test_traffic_that_stops_late_and_comes_back() -> None:
    """Delivered for 30 ms after the event, then lost for 20 ms: 50 ms until it is back, of which 20 are lost."""
    probe = stream(200, set(range(80, 100)))
    event = 10.05
    assert until_stopped([probe], event, flows=True, error=ERROR) == pytest.approx(0.029)
    assert until_back([probe], event) == pytest.approx(0.050)
    assert loss_of_connectivity([probe], event, RATE) == pytest.approx(0.020)
    assert rate_derived([probe], event) == pytest.approx(0.050)
    assert loss_derived([probe], event, RATE, error=ERROR) is None, "loss does not tell when the event was"
    assert route_specific(probe, event, RATE, error=ERROR) is None
    # The control: lost from the event on, both times of RFC 6412 are the same.
    at_once = stream(200, set(range(50, 70)))
    assert loss_derived([at_once], event, RATE, error=ERROR) == pytest.approx(0.020)
    assert loss_of_connectivity([at_once], event, RATE) == pytest.approx(0.020)


def test_traffic_that_never_stops() -> None:
    probe = stream(20, set())
    assert route_specific(probe, 10.005, RATE, error=ERROR) is None
    assert loss_derived([probe], 10.005, RATE, error=ERROR) is None
    assert loss_of_connectivity([probe], 10.005, RATE) is None
    assert rate_derived([probe], 10.005) is None
    assert until_back([probe], 10.005) is None
    for flows in (True, False):
        assert until_stopped([probe], 10.005, flows=flows, error=ERROR) is None
        assert probe.changed(10.005, flows=flows) is None


def test_traffic_that_never_arrives_has_no_time() -> None:
    """The length of the observation is not a time, and the routes have no mean either."""
    never, soon = stream(20, set(range(20))), stream(20, {5, 6}, prefix="q")
    assert route_specific(never, 10.005, RATE, error=ERROR) is None
    assert loss_derived([never], 10.005, RATE, error=ERROR) is None
    assert loss_derived([never, soon], 10.005, RATE, error=ERROR) is None
    assert until_back([never, soon], 10.005) is None
    assert loss_derived([soon], 10.005, RATE, error=ERROR) == pytest.approx(0.002)
    assert until_back([soon], 10.005) == pytest.approx(0.002)
    assert rate_derived([never], 10.005) is None


def test_two_routes_by_hand() -> None:
    """One loses 10 packets, the other 30: the mean is 20 ms, and both have converged after 30 ms."""
    one, other = stream(100, set(range(50, 60))), stream(100, set(range(50, 80)), prefix="q")
    event = 10.05
    assert route_specific(one, event, RATE, error=ERROR) == pytest.approx(0.010)
    assert route_specific(other, event, RATE, error=ERROR) == pytest.approx(0.030)
    assert loss_derived([one, other], event, RATE, error=ERROR) == pytest.approx(0.020)
    assert until_back([one, other], event) == pytest.approx(0.030)
    assert rate_derived([one, other], event, interval=0.010) == pytest.approx(0.030)
    assert first_packet([one, other], event) == pytest.approx(10.0802)


def test_route_without_an_outage_does_not_delay_the_others() -> None:
    calm, broken = stream(100, set()), stream(100, set(range(50, 60)), prefix="q")
    assert until_back([calm, broken], 10.05) == pytest.approx(0.010)
    assert loss_of_connectivity([calm, broken], 10.05, RATE) == pytest.approx(0.005), "the mean over both routes"
    late = stream(100, set(range(70, 90)), prefix="r")
    assert until_stopped([broken, late], 10.05, flows=True, error=ERROR) == pytest.approx(0.019)
    assert loss_derived([broken, late], 10.05, RATE, error=ERROR) is None


def test_rate_derived_time_by_hand() -> None:
    """Sampled every 10 ms from the event at 10.0 on; packets 0 to 24 are lost, the third interval is half full."""
    probe = stream(100, set(range(25)), start=10.0005)
    assert rate_derived([probe], 10.0) == pytest.approx(0.030)
    assert rate_derived([probe], 10.0, full=0.5) == pytest.approx(0.020)
    gone = stream(100, set(range(25, 100)), start=10.0005)
    assert rate_derived([gone], 10.0) is None, "still lost in the last interval"


def test_single_lost_packet_is_not_the_outage() -> None:
    probe = stream(100, {10, *range(50, 60), 90})
    assert probe.outage(10.0) == range(50, 60)
    assert probe.recovered(10.0) == 60


LONE_TIMES = (None, None, None, None)


def times_of(probe: Stream, event: float) -> tuple[float | None, ...]:
    """Return the times that begin or end with an outage."""
    return (
        until_stopped([probe], event, flows=True, error=ERROR),
        until_back([probe], event),
        loss_of_connectivity([probe], event, RATE),
        first_packet([probe], event),
    )


def test_lone_lost_packet_is_an_outage_next_to_a_cause_only() -> None:
    event = 10.1
    far = stream(1000, {500})
    assert far.losses(event) == [range(500, 501)]
    assert times_of(far, event) == LONE_TIMES
    assert far.outage(event) is None
    # Next to the event, or to a change of the route, it is what the change cost.
    assert stream(1000, {101}).outage(event) == range(101, 102)
    rerouted = replace(far, changes=[10.5005])
    assert rerouted.outage(event) == range(500, 501)
    assert until_back([rerouted], event) == pytest.approx(0.401)
    assert replace(far, changes=[10.6]).outage(event) is None
    # A path that loses packets all the time may have lost one there as well.
    lossy = stream(1000, {*range(150, 1000, 50), 101})
    assert lossy.outage(event) is None


def test_outage_is_longer_than_what_chance_loses_in_a_row() -> None:
    event, lone = 10.1, set(range(150, 4000, 100))
    assert stream(4000, lone | {251, 252}).outage(event) == range(250, 253), "3 in a row are not to be expected"
    assert stream(4000, lone | {251}).outage(event) is None, "2 in a row are to be expected once in 3 such streams"
    assert stream(4000, {250, 251}).outage(event) == range(250, 252), "nothing else is lost"


def test_second_interruption_does_not_hide_the_first() -> None:
    probe = stream(4000, {*range(500, 900), *range(1500, 1700), *range(2000, 2100), *range(2500, 2600)})
    assert probe.outage(10.1) == range(500, 900)


def test_lost_packet_at_low_rate_is_close_to_the_event() -> None:
    """At 10 packets a second none is sent within 10 ms of the event."""
    probe = stream(100, {50}, rate=10.0)
    assert probe.outage(14.95) == range(50, 51)
    assert probe.outage(15.05) is None, "the packet after the event was delivered"
    assert probe.outage(10.0) is None


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
def test_random_loss_is_hardly_ever_an_outage(share: float) -> None:
    """As often as `_CHANCE` says, one in a hundred streams may have a run that long."""
    event, found, missed = 10.1, 0, 0
    for seed in range(200):
        drawn = random.Random(seed)
        lost = {n for n in range(3000) if drawn.random() < share}
        found += stream(3000, lost).outage(event) is not None
        outage = stream(3000, lost | set(range(1000, 1020))).outage(event)
        # The outage is as constructed, but for packets that chance loses next to it.
        missed += outage is None or not (outage.start <= 1000 and outage.stop >= 1020 and len(outage) < 25)
    assert found <= 6
    assert missed == 0


@given(st.sets(st.integers(70, 980).map(lambda n: n * 2)), st.integers(12, 400))
def test_lone_losses_change_no_time_of_an_outage(lone: set[int], length: int) -> None:
    event = 10.1
    span = range(501, 501 + length)
    alone = {n for n in lone if n < span.start - 1 or n > span.stop}
    assert times_of(stream(2000, alone), event) == LONE_TIMES
    calm, lossy = stream(2000, set(span)), stream(2000, alone | set(span))
    assert lossy.outage(event) == span
    assert lossy.changed(event, flows=True) == calm.changed(event, flows=True)
    for time in (until_back, first_packet):
        assert time([lossy], event) == time([calm], event)
    stopped = [until_stopped([probe], event, flows=True, error=ERROR) for probe in (lossy, calm)]
    assert stopped[0] == stopped[1]


@pytest.mark.parametrize("arrived", [True, False])
def test_packet_of_unknown_time_does_not_count(arrived: bool) -> None:
    """Packet 30 flows or is lost among others that flow, and packet 55 among others that are lost: as without them."""
    lost = set(range(50, 60)) - ({55} if arrived else set()) | (set() if arrived else {30})
    certain = stream(100, lost)
    probe = Stream("p", certain.sent, certain.arrivals, unsure=frozenset({30, 55}))
    assert probe.outage(10.0) == range(50, 60)
    assert probe.counts(10.0) == Counts(98, 89, 9, 0, 0)
    assert until_stopped([probe], 10.02, flows=True, error=ERROR) == pytest.approx(0.029)
    assert until_back([probe], 10.02) == pytest.approx(0.040)
    assert rate_derived([probe], 10.02) == pytest.approx(0.040)
    # The control: with a known time it is lost, or ends the outage.
    assert certain.counts(10.0).lost == (9 if arrived else 11)
    assert (certain.outage(10.0) == range(50, 60)) is not arrived


def test_late_packet_is_lost() -> None:
    sent = [1.0, 2.0]
    assert Stream("p", sent, [(1.2, 0), (2.3, 1)]).counts(0.0).lost == 1
    assert Stream("p", sent, [(1.2, 0), (2.3, 1)], threshold=0.5).counts(0.0).lost == 0


@pytest.mark.parametrize(
    ("fib", "beyond"),
    [(5.0, -0.0), (5.5, 0.0), (6.0, 0.0), (4.9, 0.0), (6.1, 0.0), (4.5, 0.4), (7.0, -0.9)],
)
def test_disagreement(fib: float, beyond: float) -> None:
    """Forwarding changed between 5 and 6; the error is 0.1."""
    assert disagreement(fib, (5.0, 6.0), 0.1) == pytest.approx(beyond)


def test_empty_stream_has_no_times() -> None:
    empty = Stream("p", [], [])
    assert empty.counts(0.0) == Counts(0, 0, 0, 0, 0)
    assert empty.outage(0.0) is None
    assert empty.changed(0.0, flows=False) is None
    assert loss_derived([], 0.0, RATE, error=ERROR) is None
    assert rate_derived([empty], 0.0) is None
    assert until_back([], 0.0) is None
    assert until_stopped([empty], 0.0, flows=False, error=ERROR) is None
    assert first_packet([], 0.0) is None


# --- synthetic traces ---------------------------------------------------------------------------------------------


@st.composite
def outages(draw: st.DrawFn) -> tuple[float, float, list[tuple[float, float]]]:
    """A rate, an event, and for each prefix when forwarding ended and began again (seconds)."""
    rate = draw(st.sampled_from([1000.0, 500.0, 2000.0]))
    event = draw(st.floats(1.0, 1.2))
    spans = st.tuples(st.floats(0.0, 0.3), st.floats(0.005, 0.4))
    return rate, event, [(event + a, event + a + b) for a, b in draw(st.lists(spans, min_size=1, max_size=4))]


def synthetic(rate: float, ends: float, begins: float, delay: float, phase: float) -> Stream:
    sent = [phase / rate + number / rate for number in range(int(2.5 * rate))]
    arrivals = [(t + delay, n) for n, t in enumerate(sent) if not ends <= t < begins]
    return Stream("p", sent, arrivals)


@given(outages(), st.floats(0.0, 0.2), st.floats(0.0, 0.99))
def test_times_of_an_outage_come_out_as_constructed(
    made: tuple[float, float, list[tuple[float, float]]], delay: float, phase: float
) -> None:
    rate, event, spans = made
    streams = [synthetic(rate, ends, begins, delay, phase) for ends, begins in spans]
    tolerance = 1 / rate + 1e-9
    times = []
    for probe, (ends, begins) in zip(streams, spans, strict=True):
        assert loss_of_connectivity([probe], event, rate) == pytest.approx(begins - ends, abs=tolerance)
        time = route_specific(probe, event, rate, error=tolerance)
        assert (time is None) == (until_stopped([probe], event, flows=True, error=tolerance) is not None)
        if time is None:
            assert ends - event > tolerance
        else:
            assert ends - event <= 2 * tolerance
            assert time == pytest.approx(begins - event, abs=3 * tolerance)
        window = probe.changed(event, flows=True)
        assert window is not None
        assert window[0] - 1e-9 <= begins <= window[1] + 1e-9
        assert disagreement(begins, window, 1e-6) == 0
        times.append(begins - ends)
    assert loss_of_connectivity(streams, event, rate) == pytest.approx(sum(times) / len(times), abs=tolerance)
    stopped = until_stopped(streams, event, flows=True, error=0.0)
    assert (stopped or 0.0) == pytest.approx(max(ends for ends, _ in spans) - event, abs=tolerance)
    last = max(begins for _, begins in spans)
    back = until_back(streams, event)
    assert back is not None
    assert last - event - 1e-9 <= back <= last - event + tolerance
    full = rate_derived(streams, event)
    assert full is not None
    assert last - event - tolerance <= full <= last - event + 0.01 + tolerance
    first = first_packet(streams, event)
    assert first is not None
    assert last + delay - 1e-9 <= first <= last + delay + tolerance


@given(st.floats(1.0, 1.2), st.floats(0.005, 0.5), st.floats(0.0, 0.2), st.floats(0.0, 0.99))
def test_times_of_a_withdrawal_come_out_as_constructed(event: float, after: float, delay: float, phase: float) -> None:
    probe = synthetic(RATE, event + after, 9.0, delay, phase)
    time = until_stopped([probe], event, flows=False, error=ERROR)
    assert time is None or time == pytest.approx(after, abs=1 / RATE + 1e-9)
    assert (time is not None) or after <= ERROR + 1 / RATE + 1e-9
    window = probe.changed(event, flows=False)
    assert window is not None
    assert window[0] - 1e-9 <= event + after <= window[1] + 1e-9
    assert loss_of_connectivity([probe], event, RATE) is None
    assert rate_derived([probe], event) is None
    assert first_packet([probe], event) is None


@given(st.lists(st.integers(0, 19), max_size=60), st.integers(0, 19))
def test_every_packet_is_either_received_or_lost(order: list[int], first: int) -> None:
    sent = [n / 1000 for n in range(20)]
    probe = Stream("p", sent, [(0.02 + at / 1e6, n) for at, n in enumerate(order)])
    counts = probe.counts(sent[first])
    assert counts.sent == 20 - first == counts.received + counts.lost
    late = [n for n in order if n >= first]
    assert counts.received == len(set(late))
    assert counts.duplicated == len(late) - len(set(late))
    assert 0 <= counts.reordered <= counts.received
    if order == sorted(order):
        assert counts.reordered == 0
