"""Measurements at a router with BIRD, which reports RIB changes in its log."""

import pytest

from lab.runtime.lab import Lab
from lab.topology import Family
from tests.helpers.stages import ORDER, expect_in_order

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6"), pytest.mark.topology("frr-bird")]


def test_stages_at_bird_are_in_order(lab: Lab, family: Family) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    assert branch.plan.daemon == "bird"
    prefix = lab.free_prefix(family)
    with hq.serving(prefix, lab.host("hq-lan")):
        with lab.measure("branch", prefix, probe_from="branch-lan") as appeared:
            hq.announce(prefix)
        with lab.measure("branch", prefix, probe_from="branch-lan") as vanished:
            hq.withdraw(prefix)
    expect_in_order(appeared, ORDER)
    expect_in_order(vanished, ORDER[:-1])
    assert appeared.stage("rib").source == "log"


def test_bird_detects_a_stopped_neighbour(lab: Lab) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    (prefix,) = [p for p in hq.plan.networks if p.version == 4]
    try:
        with lab.measure(branch, prefix) as measured:
            hq.daemon.stop(hq.running)
    finally:
        hq.daemon.start(hq.running, hq.plan)
        lab.wait_ready()
    assert measured.outcome == "vanishes"
    expect_in_order(measured, ("event", "detection", "fib"))
