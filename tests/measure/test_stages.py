"""Properties of a measurement on any host: the order of the stages, and the agreement of both planes."""

import os
import signal
import time

import pytest

from lab.core.errors import ExpectationFailed, InputError
from lab.runtime.lab import Lab
from lab.topology import Family
from tests.helpers.stages import ORDER, expect_in_order

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.7"), pytest.mark.topology("article")]


def test_announced_prefix_reaches_every_stage(lab: Lab, family: Family) -> None:
    hq = lab.router("hq")
    prefix = lab.free_prefix(family)
    with hq.serving(prefix, lab.host("hq-lan")):
        with lab.measure("branch", prefix, probe_from="branch-lan") as measured:
            hq.announce(prefix)
        hq.withdraw(prefix)
        lab.router("branch").expect_no_route(prefix)
    expect_in_order(measured, ORDER)
    assert measured.status != "timed-out", measured.reason
    packets = measured.data_plane
    assert packets is not None
    assert packets.sent == packets.received + packets.lost
    # No packet sent before the route was in the FIB arrived, so the loss covers at least that time.
    assert packets.route_specific.keys() == {str(prefix)}
    assert packets.loss_derived is not None
    assert packets.until_stopped is packets.until_back is None, "nothing flowed before"
    assert packets.loss_derived >= measured.at("fib") - measured.stage("fib").error - packets.error
    assert any("announces" in moment.what for moment in measured.timeline)


def test_withdrawn_prefix_stays_gone(lab: Lab, family: Family) -> None:
    hq = lab.router("hq")
    prefix = lab.free_prefix(family)
    with hq.serving(prefix, lab.host("hq-lan")):
        hq.announce(prefix)
        lab.router("branch").expect_route(prefix)
        with lab.measure("branch", prefix, probe_from="branch-lan", settle=1.0) as measured:
            hq.withdraw(prefix)
    assert measured.outcome == "vanishes"
    expect_in_order(measured, ("event", "update", "rib", "fib"))
    with pytest.raises(ExpectationFailed, match="did not reach the stage 'first-packet'"):
        measured.stage("first-packet")
    assert not [flag for flag in measured.flags if "came back" in flag]
    (stream,) = measured.streams
    last = stream.last_delivered(measured.event)
    assert last is not None, "traffic stopped before the withdrawal"
    gone, packets = measured.stage("fib"), measured.data_plane
    assert packets is not None
    assert packets.until_stopped == pytest.approx(stream.sent[last] - measured.event)
    assert packets.until_back is packets.loss_derived is packets.loss_of_connectivity is None
    assert stream.sent[last] - measured.event <= gone.at + gone.error + packets.error
    assert len(stream.sent) - last > 500, "the observation was too short"


def test_prefix_that_comes_back_is_flagged(lab: Lab) -> None:
    """The control of the test above."""
    hq, branch = lab.router("hq"), lab.router("branch")
    prefix = lab.free_prefix("ipv4")
    with hq.serving(prefix, lab.host("hq-lan")):
        hq.announce(prefix)
        branch.expect_route(prefix)
        with lab.measure("branch", prefix, probe_from="branch-lan", until="vanishes") as measured:
            hq.withdraw(prefix)
            branch.expect_no_route(prefix)
            hq.announce(prefix)
            branch.expect_route(prefix)
            hq.withdraw(prefix)
        branch.expect_no_route(prefix)
    assert [flag for flag in measured.flags if "came back" in flag]


def test_several_prefixes_have_a_time_each(lab: Lab) -> None:
    """Of several prefixes a stage is reached with the last, and every one of them has its convergence time."""
    hq, branch = lab.router("hq"), lab.router("branch")
    early, late = lab.free_prefix("ipv4"), lab.free_prefix("ipv6")
    with hq.serving(early, lab.host("hq-lan")), hq.serving(late, lab.host("hq-lan")):
        with lab.measure("branch", [early, late], probe_from="branch-lan") as measured:
            hq.announce(early)
            branch.expect_route(early)
            between = time.monotonic()
            hq.announce(late)
        hq.withdraw([early, late])
        branch.expect_no_route([early, late])
    expect_in_order(measured, ORDER)
    assert measured.at("update") >= between - measured.event
    packets = measured.data_plane
    assert packets is not None
    assert packets.route_specific[str(early)] < packets.route_specific[str(late)]
    assert packets.loss_derived is not None
    assert packets.route_specific[str(early)] < packets.loss_derived < packets.route_specific[str(late)]
    assert any("known to" in flag for flag in measured.flags), "two announcements are one event with a large error"


def test_stopped_sender_makes_the_measurement_invalid(lab: Lab) -> None:
    hq = lab.router("hq")
    prefix = lab.free_prefix("ipv4")
    with hq.serving(prefix, lab.host("hq-lan")), hq.announced(prefix):
        lab.router("branch").expect_route(prefix)
        with lab.measure("branch", prefix, probe_from="branch-lan", until="nothing", watch=0.5) as measured:
            measured.caused()
            os.killpg(measured.sender_pid, signal.SIGSTOP)
            time.sleep(0.3)  # the duration of the delay
            os.killpg(measured.sender_pid, signal.SIGCONT)
    lab.router("branch").expect_no_route(prefix)
    assert not measured.valid
    assert measured.status == "invalid"
    assert "fell behind" in measured.reason


def test_missing_change_times_out(lab: Lab) -> None:
    prefix = lab.free_prefix("ipv4")
    with lab.measure("branch", prefix, within=0.5) as measured:
        pass
    assert measured.status == "timed-out"
    assert str(prefix) in measured.reason
    with pytest.raises(ExpectationFailed, match=f"did not reach the stage 'fib': .*{prefix}"):
        measured.stage("fib")


def test_probe_needs_an_address_in_the_prefix(lab: Lab) -> None:
    with pytest.raises(InputError, match=r"none of the nodes .* has an address"):
        lab.measure("branch", lab.free_prefix("ipv4"), probe_from="branch-lan")
