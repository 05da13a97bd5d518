"""The detector that notices a silent blackhole first: BFD, BGP's hold timer or OpenVPN's `ping-restart`."""

import time
from pathlib import Path

import pytest

from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.routing import BfdState
from lab.runtime.lab import Lab
from lab.status.overview import report
from tests.helpers.pairs import Pair
from tests.helpers.sites import Site, networks

pytestmark = [pytest.mark.docker, pytest.mark.faults]

FAST = "bfd: {interval: 100, multiplier: 3}"
SLOW = "bfd: {interval: 300, multiplier: 3}"
WATCHED = [
    Pair("frr-frr-3x100ms", f"daemon: frr, asn: 65001, {FAST}", f"daemon: frr, asn: 65002, {FAST}"),
    Pair("frr-bird-3x300ms", f"daemon: frr, asn: 65001, {SLOW}", f"daemon: bird, asn: 65002, {SLOW}"),
    Pair("bird3-bird-3x100ms", f"daemon: bird3, asn: 65001, {FAST}", f"daemon: bird, asn: 65002, {FAST}"),
]
PAIR = Path(__file__).parents[1] / "daemons" / "pair.clab.yml"


@pytest.fixture(autouse=True)
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pair | None:
    """The daemon of both routers; parametrized before the lab is deployed."""
    wanted: Pair | None = getattr(request, "param", None)
    if wanted is not None:
        monkeypatch.setenv("HQ", wanted.hq)
        monkeypatch.setenv("BRANCH", wanted.branch)
    return wanted


@pytest.mark.topology(PAIR, openvpn="2.7")
@pytest.mark.parametrize("pair", WATCHED, ids=str, indirect=True)
def test_bfd_detects_before_the_hold_timer(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    """Both ends close the session because of BFD, before the hold timer expires."""
    assert {s.bfd for s in report(lab).sessions} == {BfdState.UP}
    with lab.fault("blackhole", layer="inner") as fault:
        for here, there in ((hq, branch), (branch, hq)):
            here.router.expect_no_route(networks(there), since=fault.began.since)
            why = here.router.neighbor(there.router).last_reset
            assert "BFD" in why, why
            assert here.router.neighbor(there.router).bfd is not BfdState.UP
    lab.wait_ready()
    for family in FAMILIES:
        hq.host.expect_reaches(branch.host.address(family))


@pytest.mark.topology("article", openvpn="2.7")
def test_without_bfd_the_hold_timer_detects(lab: Lab, hq: Site, branch: Site) -> None:
    """The control of the test above: the same blackhole, detected by the hold timer."""
    assert {s.bfd for s in report(lab).sessions} == {None}
    with lab.fault("blackhole", layer="inner") as fault:
        for here, there in ((hq, branch), (branch, hq)):
            here.router.expect_no_route(networks(there), since=fault.began.since)
            assert "Hold Timer" in here.router.neighbor(there.router).last_reset
    lab.wait_ready()


@pytest.mark.topology("article", openvpn="2.7", tunnel={"transport": "udp"})
@pytest.mark.parametrize(("keepalive", "restarts"), [((1, 2), True), ((15, 45), False)], ids=["short", "the-articles"])
def test_ping_restart_detects_a_blackhole_of_outer_packets(
    lab: Lab, hq: Site, branch: Site, keepalive: tuple[int, int], restarts: bool
) -> None:
    """A short timeout restarts the client; with the article's 45 s BGP detects it first; OpenVPN stays connected."""
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(keepalive=keepalive):
        lab.wait_ready()
        size = tunnel.client.log_size()
        with lab.fault("blackhole", layer="outer") as fault:
            for here, there in ((hq, branch), (branch, hq)):
                here.router.expect_no_route(networks(there), since=fault.began.since)
            if restarts:
                wait_for(
                    Expectation(
                        what="the client's ping-restart",
                        node="branch",
                        look=lambda: tunnel.client.log_lines("Inactivity timeout (--ping-restart)", since=size),
                        met=bool,
                        logs=tunnel.client.log,
                    ),
                    within=60,
                    since=fault.began.since,
                )
            else:
                assert tunnel.client.log_lines("Inactivity timeout", since=size) == []
                with tunnel.client.management() as client:
                    assert client.state().connected
        lab.wait_ready()
    lab.wait_ready()


@pytest.mark.topology("article", openvpn="2.7")
def test_interface_down_is_detected_at_once(lab: Lab, hq: Site, branch: Site) -> None:
    """The kernel notifies the router whose device is down; the other end waits for its timer."""
    first = time.monotonic()
    with lab.fault("openvpn-terminated", end="client"):
        branch.router.expect_no_route(networks(hq), since=first)
        assert "Hold Timer" not in branch.router.neighbor(hq.router).last_reset
        hq.router.expect_no_route(networks(branch), since=first)
    lab.wait_ready()
