"""Plain OpenVPN: a client that ignores the pushed routes, or filters them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.claims.claims import Claim
from lab.runtime.lab import Lab
from tests.helpers.article import expect_log
from tests.helpers.static_routes import (
    Vpn,
    expect_all_inside,
    expect_fenced,
    expect_leak,
    expect_no_leak,
    expect_not_followed,
    expect_split,
    named,
)

pytestmark = [pytest.mark.docker, pytest.mark.topology("road-warrior")]

EXACT = ["accept route 10.20.30.40 ", "accept route 192.168.100.0 ", "accept route-ipv6 2001:db8:20:30::40/128 "]
REST = ["ignore route ", "ignore route-ipv6 ", "ignore redirect-gateway", "ignore dhcp-option"]

USES_DNS = "dns up command exited with status 0"
"""The log line of OpenVPN 2.7 after its script `dns-updown` has set a name server."""


@pytest.fixture
def vpn(lab: Lab) -> Vpn:
    return Vpn(lab)


@contextmanager
def stopped(vpn: Vpn, signal: str = "TERM") -> Iterator[None]:
    """Stop the client in the context."""
    tunnel = vpn.lab.tunnel("user-office")
    tunnel.client.stop(signal)
    try:
        yield
    finally:
        tunnel.start()
        vpn.user.expect_in_fib(named(), via=vpn.device)


@pytest.mark.claims(
    "with `route-nopull` and a `route` per address, only traffic to these addresses goes through the tunnel"
)
def test_route_nopull_with_own_routes_splits_traffic(lab: Lab, lab_openvpn: str, vpn: Vpn, claim: Claim) -> None:
    tunnel = lab.tunnel("user-office")
    size = tunnel.client.log_size()
    with tunnel.configured(route_nopull=False):
        expect_all_inside(vpn)
        if lab_openvpn != "2.6":  # 2.6 leaves a pushed name server to scripts of the user
            expect_log(tunnel.client, USES_DNS, size)
        size = tunnel.client.log_size()
    seen = expect_split(vpn)
    assert not tunnel.client.log_lines(USES_DNS, since=size)
    claim.packet(seen.capture, seen.packet)
    claim.holds()


@pytest.mark.topology("road-warrior", openvpn="2.7")
@pytest.mark.claims("with `pull-filter` a client accepts only some of the routes that its server pushes")
def test_pull_filter_selects_pushed_routes(lab: Lab, vpn: Vpn, claim: Claim) -> None:
    tunnel = lab.tunnel("user-office")
    with tunnel.configured(route_nopull=False, routes=(), pull_filter=EXACT):
        expect_all_inside(vpn)
    with tunnel.configured(route_nopull=False, routes=(), pull_filter=[*EXACT, *REST]):
        seen = expect_split(vpn)
        claim.packet(seen.capture, seen.packet)
    claim.holds()


@pytest.mark.topology("road-warrior", openvpn="2.7")
@pytest.mark.claims("when OpenVPN's client ends, no traffic for the tunnel leaves outside it")
def test_leak_when_the_client_ends(vpn: Vpn, claim: Claim) -> None:
    with stopped(vpn):
        leaked = expect_fenced(vpn)
        claim.packet(leaked.capture, leaked.packet)
    with stopped(vpn, "KILL"):
        vpn.user.expect_not_in_fib(named())
        expect_leak(vpn)
    expect_split(vpn)
    claim.does_not_hold(
        "its routes are removed, and the service is reached in the clear by the default route; an `unreachable` "
        "route to the same address with a worse metric or a filter on the outer link prevents it"
    )


@pytest.mark.topology("road-warrior", openvpn="2.7")
@pytest.mark.claims("a route to an address follows the service when it moves")
def test_static_routes_do_not_follow_a_moved_service(vpn: Vpn, claim: Claim) -> None:
    seen = expect_not_followed(vpn)
    claim.packet(seen.capture, seen.packet)
    expect_split(vpn)
    claim.does_not_hold("it is reached in the clear until the route is changed; routes from BGP follow")


@pytest.mark.topology("road-warrior", openvpn="2.7")
@pytest.mark.thorough
@pytest.mark.claims("when OpenVPN's server is gone, no traffic for the tunnel leaves outside it")
def test_leak_while_the_server_is_gone(lab: Lab, vpn: Vpn, claim: Claim) -> None:
    tunnel = lab.tunnel("user-office")
    for persist_tun in (True, False):
        with tunnel.configured(persist_tun=persist_tun):
            size = tunnel.client.log_size()
            tunnel.server.stop("KILL")
            claim.log_line(tunnel.client, expect_log(tunnel.client, "Inactivity timeout", size))
            if persist_tun:  # device and routes stay, and packets into them are lost
                expect_log(tunnel.client, "TCP/UDP: Preserving recently used remote address", size)
                vpn.user.expect_in_fib(named(), via=vpn.device)
                expect_no_leak(vpn)
                vpn.user.expect_in_fib(named(), via=vpn.device)
            else:
                expect_fenced(vpn)
            tunnel.start()
            vpn.user.expect_in_fib(named(), via=vpn.device)
            expect_split(vpn)
    claim.holds_if(
        "with `persist-tun`; without it the client removes device and routes while it tries to reach the server"
    )
