"""What holds of a measurement on any machine: the order of the stages, and that both planes tell the same story."""

import os
import signal
import time

import pytest

from lab.core.errors import ExpectationFailed, InputError
from lab.runtime.lab import Lab
from lab.topology import Family
from tests.helpers.stages import ORDER, expect_in_order

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.7"), pytest.mark.topology("article")]


def test_an_announced_prefix_is_seen_at_every_stage(lab: Lab, family: Family) -> None:
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
    # No packet that was sent before the route was there has passed, and as many were lost as that took.
    assert packets.route_specific.keys() == {str(prefix)}
    assert packets.loss_derived is not None
    assert packets.loss_derived >= measured.at("fib") - measured.stage("fib").error - packets.error
    assert any("announces" in moment.what for moment in measured.timeline)


def test_a_withdrawn_prefix_never_comes_back(lab: Lab, family: Family) -> None:
    hq = lab.router("hq")
    prefix = lab.free_prefix(family)
    with hq.serving(prefix, lab.host("hq-lan")):
        hq.announce(prefix)
        lab.router("branch").expect_route(prefix)
        with lab.measure("branch", prefix, probe_from="branch-lan", settle=1.0) as measured:
            hq.withdraw(prefix)
    assert measured.outcome == "vanishes"
    expect_in_order(measured, ("event", "update", "rib", "fib"))
    with pytest.raises(ExpectationFailed, match="no stage 'first-packet'"):
        measured.stage("first-packet")
    assert not [flag for flag in measured.flags if "came back" in flag]
    (stream,) = measured.streams
    last = stream.last_delivered(measured.event)
    assert last is not None, "traffic stopped before the withdrawal could be known"
    gone, packets = measured.stage("fib"), measured.data_plane
    assert packets is not None
    assert stream.sent[last] - measured.event <= gone.at + gone.error + packets.error
    assert len(stream.sent) - last > 500, "it was not watched long enough"


def test_a_prefix_that_does_come_back_is_noticed(lab: Lab) -> None:
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


def test_each_prefix_has_its_own_time(lab: Lab) -> None:
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
    assert any("known to" in flag for flag in measured.flags), "two acts are no sharp event"


def test_a_sender_that_was_starved_makes_it_invalid(lab: Lab) -> None:
    hq = lab.router("hq")
    prefix = lab.free_prefix("ipv4")
    with hq.serving(prefix, lab.host("hq-lan")), hq.announced(prefix):
        lab.router("branch").expect_route(prefix)
        with lab.measure("branch", prefix, probe_from="branch-lan", until="nothing", watch=0.5) as measured:
            measured.caused()
            os.kill(measured.sender_pid, signal.SIGSTOP)
            time.sleep(0.3)  # it is this long that it is held up
            os.kill(measured.sender_pid, signal.SIGCONT)
    lab.router("branch").expect_no_route(prefix)
    assert not measured.valid
    assert measured.status == "invalid"
    assert "fell behind" in measured.reason


def test_what_does_not_come_is_told(lab: Lab) -> None:
    prefix = lab.free_prefix("ipv4")
    with lab.measure("branch", prefix, within=0.5) as measured:
        pass
    assert measured.status == "timed-out"
    assert str(prefix) in measured.reason
    with pytest.raises(ExpectationFailed, match=f"no stage 'fib' .*{prefix}"):
        measured.stage("fib")


def test_nobody_lives_where_packets_shall_go(lab: Lab) -> None:
    with pytest.raises(InputError, match=r"none of the nodes .* has an address"):
        lab.measure("branch", lab.free_prefix("ipv4"), probe_from="branch-lan")
