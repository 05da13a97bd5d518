"""Failures of an inner table that has a route for everything."""

from ipaddress import IPv6Address

import pytest
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6

from lab.claims.claims import Claim
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.observe import Capture
from lab.runtime.lab import Lab
from tests.helpers.article import expect_control_plane, expect_log, expect_not_logged, expect_passes
from tests.helpers.packets import expect_no_answer
from tests.helpers.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6"), pytest.mark.topology("article")]

QUOTA = "route quota (256) exceeded"
HOSTS = 300
ALL = {"/0", "::/0"}
"""The inner routes for everything, as OpenVPN prints them."""


@pytest.mark.claims("more than 256 hosts behind one client exceed `max-routes-per-client`, and lose their traffic")
def test_more_than_256_hosts_behind_a_client(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    destination = hq.host.address("ipv6")
    start = int(branch.host.address("ipv6")) + 0x1000

    with tunnel.configured():  # a new session with an empty table
        expect_control_plane(lab, hq, branch)
        size = tunnel.server.log_size()
        with hq.host.capture(hq.host.interface_to(hq.router).interface, keep=8 * HOSTS) as arrived:

            def send_from_missing(count: int) -> set[int]:
                """Send again from hosts whose packet has not arrived: a burst of hundreds overruns a queue."""
                frames = [packet.decode() for packet in arrived.packets if not packet.outgoing]
                asked = [f for f in frames if ICMPv6EchoRequest in f and f[ICMPv6EchoRequest].id == 7]
                missing = set(range(count)) - {int(IPv6Address(f[IPv6].src)) - start for f in asked}
                for number in missing:
                    source = str(IPv6Address(start + number))
                    branch.host.send(IPv6(src=source, dst=str(destination)) / ICMPv6EchoRequest(id=7, seq=number))
                return missing

            def expect_sources(count: int) -> None:
                wait_for(
                    Expectation(
                        what=f"requests from {count} hosts",
                        node="hq-lan",
                        look=lambda: send_from_missing(count),
                        met=lambda missing: not missing,
                        seen=lambda missing: f"{len(missing)} are missing",
                    ),
                    within=60,
                )

            expect_sources(200)
            expect_not_logged(tunnel.server, QUOTA, size)
            expect_sources(HOSTS)  # beyond the quota nothing is cached, and everything still passes
            claim.log_line(tunnel.server, expect_log(tunnel.server, QUOTA, size))
        with branch.host.capture(branch.host.interface_to(branch.router).interface, keep=8 * HOSTS) as returned:
            there: set[int] = set()  # repeated solicitations displace others in the capture

            def send_to_missing() -> set[int]:
                """Send again to hosts that were not solicited yet: a burst of hundreds overruns a queue."""
                there.update(solicited(returned, start))
                for number in set(range(HOSTS)) - there:
                    target = str(IPv6Address(start + number))
                    hq.host.send(IPv6(src=str(destination), dst=target) / ICMPv6EchoRequest(id=8, seq=number))
                return there

            wait_for(
                Expectation(
                    what="the router behind the tunnel to solicit each host, since its packet has crossed the tunnel",
                    node="branch-lan",
                    look=send_to_missing,
                    met=lambda hosts: hosts == set(range(HOSTS)),
                    seen=lambda hosts: f"it solicited {len(hosts)}",
                ),
                within=60,
            )
            claim.echo(f"echo requests of {HOSTS} hosts arrived at hq-lan")
    expect_control_plane(lab, hq, branch)
    for family in FAMILIES:
        expect_passes(hq, branch, family)
    claim.does_not_hold("the quota is exceeded and each packet logged, but the packets pass")


def solicited(capture: Capture, start: int) -> set[int]:
    """Return the addresses from `start` on that a router on the link solicits (RFC 4861, 7.2.2)."""
    frames = [packet.decode() for packet in capture.packets if not packet.outgoing]
    return {int(IPv6Address(f[ICMPv6ND_NS].tgt)) - start for f in frames if ICMPv6ND_NS in f} & set(range(HOSTS))


@pytest.mark.claims("`stale-routes-check` deletes the inner route for everything when it is idle")
def test_stale_routes_check_deletes_the_route_for_everything(
    lab: Lab, lab_openvpn: str, hq: Site, branch: Site, claim: Claim
) -> None:
    tunnel = lab.tunnel("branch", "hq")
    # At verbosity 7 OpenVPN logs each check and what it deletes. On a busy host even BGP is idle for two seconds.
    with tunnel.configured(stale_routes_check=5, verb=7):
        expect_control_plane(lab, hq, branch)
        size = tunnel.server.log_size()
        wait_for(
            Expectation(
                what="three checks for stale routes",
                node="hq",
                look=lambda: tunnel.server.log_lines("Checking stale routes", since=size),
                met=lambda lines: len(lines) >= 3,
                seen=lambda lines: f"{len(lines)} checks",
            ),
            within=60,
        )
        with tunnel.server.management() as server:
            kept = {route.address for route in server.server_status().routes}
        deleted = tunnel.server.log_lines("Deleting stale route", since=0)
        for line in deleted[-1:]:
            claim.log_line(tunnel.server, line)
        if lab_openvpn == "2.6":
            assert not kept & ALL, f"hq: expected no inner route for everything; last seen: {kept}"
            for family in FAMILIES:
                address = branch.host.address(family)
                claim.echo(expect_no_answer(hq.host, address, "its inner route has been deleted", count=5))
            # BGP continues: the route to the tunnel's own address is in use.
            hq.router.expect_session("branch")
            hq.router.expect_route(branch.router.plan.networks)
        else:
            assert kept >= ALL, f"hq: expected inner routes for everything; last seen: {kept}"
            for family in FAMILIES:
                expect_passes(hq, branch, family)
    expect_control_plane(lab, hq, branch)
    for family in FAMILIES:
        expect_passes(hq, branch, family)
    if lab_openvpn == "2.6":
        claim.holds()
    else:
        claim.does_not_hold("in 2.7.8 only learnt addresses expire; 2.7.0 to 2.7.3 are reported to delete all")
