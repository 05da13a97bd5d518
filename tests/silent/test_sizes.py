"""A large BGP UPDATE in a tunnel whose path MTU is smaller than its ends assume.

The session is established, since all messages so far were short. The first full-size segment is lost silently, and so
is each retransmission; BGP's keepalives wait behind it until the hold time expires (RFC 2923, 2.1).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scapy.layers.inet import IP

from lab.claims.claims import Claim
from lab.core.expect import Expectation, wait_for
from lab.observe import CapturedPacket
from lab.routing import Neighbor
from lab.routing.frr.vty import Vty
from lab.runtime.lab import Lab
from lab.topology import Prefix
from tests.helpers.article import expect_control_plane, expect_log
from tests.helpers.sites import Site
from tests.helpers.underlay import Underlay

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.7")]

over_udp = pytest.mark.topology("narrow.clab.yml", tunnel={"transport": "udp"})
over_tcp = pytest.mark.topology("narrow.clab.yml", tunnel={"transport": "tcp"})

MANY = 1000
"""IPv4 prefixes of an UPDATE that fills several segments; it takes 4 bytes for each (RFC 4271, 4.3)."""
GATHERED = 5
"""Seconds between two rounds of UPDATEs."""
NARROW = 1400
FITTING = 1300


@over_udp
@pytest.mark.claims("a large BGP UPDATE passes a UDP tunnel whose path MTU is smaller than its ends assume")
def test_large_update_over_udp_on_a_narrow_path(
    lab: Lab, hq: Site, branch: Site, underlay: Underlay, claim: Claim
) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with underlay.narrow(NARROW):
        expect_control_plane(lab, hq, branch)  # short packets pass
        before = tunnel.status()
        heard = branch.router.neighbor("hq")
        with announced(lab, hq) as prefixes:
            expect_hold_timer(branch, heard, times=2)
            assert not prefixes <= branch.router.fib.routes().keys()
            claim.rib_entry(branch.router, min(prefixes))
        after = tunnel.status()
        assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)
        with tunnel.configured(mssfix=FITTING), announced(lab, hq) as prefixes:
            branch.router.expect_route(prefixes, via=branch.device)
        # One end is enough for both directions: it lowers the MSS in packets that it sends and receives.
        with tunnel.mismatched(server={"mssfix": FITTING}, client={"mssfix": 0}):
            for here, there in ((hq, branch), (branch, hq)):
                expect_control_plane(lab, hq, branch)
                with announced(lab, here) as prefixes:
                    there.router.expect_route(prefixes, via=there.device)
    expect_control_plane(lab, hq, branch)
    claim.does_not_hold(
        "it is lost until BGP's hold time expires, repeatedly, while the tunnel stays up; an `mssfix` that fits, at "
        "either end, lets it pass"
    )


@over_tcp
@pytest.mark.claims("a large BGP UPDATE passes a TCP tunnel whose path MTU is smaller than its ends assume")
def test_large_update_over_tcp_on_a_narrow_path(
    lab: Lab, hq: Site, branch: Site, underlay: Underlay, claim: Claim
) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with underlay.narrow(NARROW):
        expect_control_plane(lab, hq, branch)
        size = tunnel.client.log_size()
        with announced(lab, hq) as prefixes:
            line = expect_log(tunnel.client, "[hq] Inactivity timeout (--ping-restart), restarting", size)
            claim.log_line(tunnel.client, line)
            assert not prefixes <= branch.router.fib.routes().keys()
        # The tunnel's own segments are too long, not the packets inside.
        with underlay.clamping(), tunnel.configured(), announced(lab, hq) as prefixes:
            branch.router.expect_route(prefixes, via=branch.device)
            claim.rib_entry(branch.router, min(prefixes))
    expect_control_plane(lab, hq, branch)
    claim.does_not_hold(
        "the tunnel itself stalls at its first full-size segment, with all packets in it, and restarts; "
        "the outer TCP needs a smaller MSS"
    )


@over_udp
@pytest.mark.claims("with `mssfix 0` a large BGP UPDATE passes a UDP tunnel")
def test_large_update_without_mssfix(lab: Lab, hq: Site, branch: Site, underlay: Underlay, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(mssfix=0):
        expect_control_plane(lab, hq, branch)
        with underlay.transit.capture("eth1") as link, announced(lab, hq) as prefixes:
            branch.router.expect_route(prefixes, via=branch.device)
            claim.packet(link, link.expect("a fragment", is_fragment))
        with underlay.without_fragments():
            expect_control_plane(lab, hq, branch)
            heard = branch.router.neighbor("hq")
            with announced(lab, hq) as prefixes:
                expect_hold_timer(branch, heard)
                assert not prefixes <= branch.router.fib.routes().keys()
    with underlay.without_fragments(), announced(lab, hq) as prefixes:
        branch.router.expect_route(prefixes, via=branch.device)
    expect_control_plane(lab, hq, branch)
    claim.holds_if(
        "if fragments pass: each full-size segment is sent in two packets; with OpenVPN's default `mssfix` in one"
    )


def is_fragment(packet: CapturedPacket) -> bool:
    frame = packet.decode()
    return IP in frame and bool(frame[IP].flags.MF or frame[IP].frag)


@contextmanager
def announced(lab: Lab, site: Site) -> Iterator[frozenset[Prefix]]:
    """Announce many prefixes in few UPDATEs: bgpd collects them, since a busy host takes long to originate them all."""
    prefixes = frozenset(lab.free_prefixes("ipv4", MANY))
    with gathering(site), site.router.announced(prefixes):
        yield prefixes


@contextmanager
def gathering(site: Site) -> Iterator[None]:
    """Have bgpd collect updates for some seconds (RFC 4271, section 9.2.1.1)."""
    router = site.router

    def configure(no: str) -> None:
        intervals = [f"{no}neighbor {peer.name} advertisement-interval {GATHERED}" for peer in router.plan.peers]
        with Vty(router.running.root, "bgpd") as bgpd:
            bgpd.configure([f"router bgp {router.plan.asn}", *intervals])

    configure("")
    try:
        yield
    finally:
        configure("no ")


def expect_hold_timer(site: Site, before: Neighbor, *, times: int = 1) -> None:
    """Expect the end of an established session by its hold timer."""

    def expired(now: Neighbor) -> bool:
        ended = now.times_established - before.times_established + (not now.up)
        return ended >= times and "Hold Timer Expired" in now.last_reset

    assert before.up
    wait_for(
        Expectation(
            what="the hold timer to expire",
            node=site.router.name,
            look=lambda: site.router.neighbor("hq"),
            met=expired,
            seen=lambda now: f"{now.state}, last reset: {now.last_reset}",
            logs=site.router.running.files,
        ),
        within=30,
    )
