"""Split traffic by BGP: the office announces its networks, and the user accepts those in a prefix list."""

from ipaddress import ip_network

import pytest

from lab.claims.claims import Claim
from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from lab.topology import Family
from tests.helpers.static_routes import (
    MOVED,
    OFFICE,
    SERVICE,
    USER,
    Vpn,
    expect_fenced,
    expect_rest_outside,
    expect_split,
    expect_way,
    moved,
    named,
    prefix_of,
    talk,
)

pytestmark = [pytest.mark.docker, pytest.mark.topology("road-warrior-bgp", openvpn="2.7")]

ALL = [ip_network("0.0.0.0/0"), ip_network("::/0")]


@pytest.fixture(params=["frr", pytest.param("bird", marks=pytest.mark.thorough)])
def vpn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Vpn:
    """Set the user's daemon in the environment before the lab starts."""
    monkeypatch.setenv("DAEMON", request.param)
    lab: Lab = request.getfixturevalue("lab")
    return Vpn(lab)


@pytest.mark.claims(
    "with BGP and a prefix list, only prefixes in the list go through the tunnel, whatever is announced"
)
def test_prefix_list_accepts_only_named_addresses(vpn: Vpn, claim: Claim) -> None:
    office, user = vpn.lab.router("office"), vpn.lab.router("user")
    seen = expect_split(vpn)
    claim.packet(seen.capture, seen.packet)
    with office.announced(ALL):
        # When the later prefixes have arrived, so have the earlier ones.
        later = [prefix_of(MOVED[family]) for family in FAMILIES]
        with office.announced(later):
            user.expect_route(later, via=vpn.device)
            refused = {*ALL, *office.plan.networks} - set(named())
            assert not refused & user.fib.routes().keys() - set(ALL)
            assert not any(vpn.device in user.fib.routes()[prefix].interfaces for prefix in ALL)
            expect_rest_outside(vpn)
        user.expect_no_route(later)
    claim.holds()


@pytest.mark.claims("with BGP the client follows a service that moves, without a change at the client")
def test_bgp_client_follows_a_moved_service(vpn: Vpn, claim: Claim) -> None:
    office, user = vpn.lab.router("office"), vpn.lab.router("user")
    old, new = ([prefix_of(address) for address in where.values()] for where in (SERVICE, MOVED))
    files = user.running.files
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file() and "log" not in path.parts}
    with moved(vpn):
        office.withdraw(old)
        try:
            with office.announced(new):
                user.expect_route(new, via=vpn.device)
                user.expect_no_route(old)
                claim.rib_entry(user, new[0])
                for family in FAMILIES:

                    def to_service(family: Family = family) -> None:
                        came = talk(vpn.user, MOVED[family])
                        assert came == OFFICE or (family == "ipv6" and came != USER["ipv6"])

                    seen = expect_way(vpn, MOVED[family], "inside", to_service)
                    claim.packet(seen.capture, seen.packet)
                expect_rest_outside(vpn)
            user.expect_no_route(new)
        finally:
            office.announce(old)
    user.expect_route(old, via=vpn.device)
    expect_split(vpn)
    after = {path: path.read_bytes() for path in before}
    assert after == before
    claim.holds()


@pytest.mark.claims("when the tunnel that BGP runs over ends, none of its traffic leaves outside the tunnel")
def test_leak_when_bgp_loses_its_tunnel(vpn: Vpn, claim: Claim) -> None:
    tunnel = vpn.lab.tunnel("user-office")
    tunnel.client.stop()
    try:
        leaked = expect_fenced(vpn)
        claim.packet(leaked.capture, leaked.packet)
    finally:
        tunnel.start()
        vpn.lab.wait_ready()
    expect_split(vpn)
    claim.does_not_hold(
        "its routes are removed, and the service is reached in the clear; `unreachable` routes or a filter prevent it"
    )
