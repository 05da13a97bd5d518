"""Manual routes with an OpenVPN that sets none: correct ones, and common mistakes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.claims.claims import Claim
from lab.runtime.lab import Lab
from tests.helpers.static_routes import (
    INTERNET,
    NEIGHBOUR,
    OFFICE_HOST,
    OFFICE_NETWORK,
    SERVICE,
    Vpn,
    Where,
    expect_fenced,
    expect_named_inside,
    expect_rest_outside,
    expect_split,
    expect_way,
    named,
    talk,
)

pytestmark = [pytest.mark.docker, pytest.mark.topology("road-warrior-networkmanager", openvpn="2.6")]

PEER = "10.8.0.1"
"""The other end of the tunnel: a gateway on link."""
OFFICE_ROUTE = ("-net", str(OFFICE_NETWORK), "gw", PEER, "metric", "1")
SERVICE_ROUTE = ("-net", "10.20.30.40", "netmask", "255.255.255.255", "gw", PEER)


@pytest.fixture
def vpn(lab: Lab) -> Iterator[Vpn]:
    """A VPN whose tunnel is up, with no route into it."""
    with lab.tunnel("user-office").configured(routes=()):
        vpn = Vpn(lab)
        vpn.user.expect_not_in_fib(named())
        yield vpn


@contextmanager
def route(vpn: Vpn, *words: str) -> Iterator[None]:
    """Add a route with route(8) in the context."""
    vpn.user.exec("route", "add", *words).raise_on_error()
    try:
        yield
    finally:
        vpn.user.exec("route", "del", *words).raise_on_error()


@contextmanager
def ip_route(vpn: Vpn, *words: str) -> Iterator[None]:
    """Add a route with ip-route(8) in the context; it may be gone on exit."""
    vpn.user.exec("ip", "route", "add", *words).raise_on_error()
    try:
        yield
    finally:
        vpn.user.exec("ip", "route", "del", *words)


def expect_reached(vpn: Vpn, where: Where) -> None:
    """Check on which path packets to the service go."""
    expect_way(vpn, SERVICE["ipv4"], where, lambda: talk(vpn.user, SERVICE["ipv4"]))


@pytest.mark.claims("with one manual route per address, only traffic to these addresses goes through the tunnel")
def test_manual_routes_split_traffic(vpn: Vpn, claim: Claim) -> None:
    expect_reached(vpn, "outside")
    with route(vpn, *OFFICE_ROUTE), route(vpn, *SERVICE_ROUTE):
        expect_rest_outside(vpn)
        seen = expect_named_inside(vpn, ("ipv4",))
        claim.packet(seen.capture, seen.packet)
    # The same without a gateway, and for IPv6.
    to_service, to_office = (f"{SERVICE['ipv4']}/32", "dev", vpn.device), (str(OFFICE_NETWORK), "dev", vpn.device)
    with ip_route(vpn, *to_service), ip_route(vpn, *to_office, "metric", "1"):
        vpn.user.exec("ip", "-6", "route", "add", f"{SERVICE['ipv6']}/128", "dev", vpn.device).raise_on_error()
        expect_split(vpn)
    claim.holds()


@pytest.mark.claims("the gateway of a manual route is the office's router on its own network")
def test_gateway_that_is_not_on_link_is_refused(vpn: Vpn, claim: Claim) -> None:
    words = ("add", "-net", str(OFFICE_NETWORK), "gw", "192.168.100.1", "metric", "1")
    refused = vpn.user.exec("route", *words)
    assert "Network is unreachable" in refused.stderr, f"user: expected route(8) to refuse it; last seen: {refused}"
    refused = vpn.user.exec("ip", "route", "add", str(OFFICE_NETWORK), "via", "192.168.100.1")
    assert "invalid gateway" in refused.stderr, f"user: expected ip-route(8) to refuse it; last seen: {refused}"
    with route(vpn, *OFFICE_ROUTE):
        seen = expect_way(vpn, OFFICE_HOST, "inside", lambda: talk(vpn.user, OFFICE_HOST))
        claim.packet(seen.capture, seen.packet)
    claim.does_not_hold("the kernel refuses a gateway that is not on link; the gateway is the other end of the tunnel")


@pytest.mark.claims("a netmask that is too wide sends traffic to neighbours of the service through the tunnel")
def test_wide_netmask_takes_neighbours_into_the_tunnel(vpn: Vpn, claim: Claim) -> None:
    with route(vpn, "-net", "10.20.30.0", "netmask", "255.255.255.0", "gw", PEER):
        seen = expect_way(vpn, NEIGHBOUR["ipv4"], "inside", lambda: vpn.user.expect_reaches(NEIGHBOUR["ipv4"]))
        claim.packet(seen.capture, seen.packet)
    with route(vpn, *SERVICE_ROUTE):
        expect_reached(vpn, "inside")
        expect_rest_outside(vpn)
    claim.holds()


@pytest.mark.claims("a route's metric decides whether it wins against the default route")
def test_metric_decides_among_routes_to_the_same_prefix_only(vpn: Vpn, claim: Claim) -> None:
    # The default route without the tunnel has metric 100.
    with route(vpn, "default", "gw", PEER, "metric", "200"):
        expect_reached(vpn, "outside")
    with route(vpn, "default", "gw", PEER, "metric", "50"):
        expect_reached(vpn, "inside")
        expect_way(vpn, INTERNET["ipv4"], "inside", lambda: talk(vpn.user, INTERNET["ipv4"], 80))
    with route(vpn, *SERVICE_ROUTE, "metric", "900"):
        expect_reached(vpn, "inside")
        expect_rest_outside(vpn)
    claim.does_not_hold(
        "only among routes to the same prefix, such as two default routes; a route to the address itself wins with any "
        "metric"
    )


@pytest.mark.thorough
@pytest.mark.claims("a manual route is removed and restored with the tunnel")
def test_manual_route_does_not_come_back_with_the_tunnel(lab: Lab, vpn: Vpn, claim: Claim) -> None:
    tunnel = lab.tunnel("user-office")
    with ip_route(vpn, f"{SERVICE['ipv4']}/32", "dev", vpn.device):
        expect_reached(vpn, "inside")
        tunnel.client.stop()
        expect_fenced(vpn, ("ipv4",))
        tunnel.start()
        expect_reached(vpn, "outside")  # silently
    with tunnel.configured():  # with OpenVPN's own routes
        expect_split(vpn)
        tunnel.client.stop()
        expect_fenced(vpn)
        tunnel.start()
        expect_split(vpn)
    claim.does_not_hold("it is removed with the device and not restored; OpenVPN's own `route` is")


@pytest.mark.thorough
@pytest.mark.claims("a route into a persistent tunnel device outlives the tunnel")
def test_route_into_a_persistent_device_outlives_the_tunnel(lab: Lab, vpn: Vpn, claim: Claim) -> None:
    tunnel = lab.tunnel("user-office")
    tunnel.client.stop()
    vpn.user.exec("ip", "tuntap", "add", vpn.device, "mode", "tun").raise_on_error()
    try:
        tunnel.start()
        with ip_route(vpn, f"{SERVICE['ipv4']}/32", "dev", vpn.device):
            expect_reached(vpn, "inside")
            tunnel.client.stop("KILL")  # a client that ends properly clears the device
            vpn.user.expect_in_fib(named(("ipv4",))[0], via=vpn.device)
            with pytest.raises(TimeoutError):
                talk(vpn.user, SERVICE["ipv4"], patience=1)
    finally:
        tunnel.client.stop()
        vpn.user.exec("ip", "tuntap", "del", vpn.device, "mode", "tun").raise_on_error()
    with tunnel.configured():
        expect_split(vpn)
    claim.holds()
