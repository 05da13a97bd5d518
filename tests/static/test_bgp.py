"""Split traffic by BGP: the office announces its networks, and the user accepts those in a prefix list."""

from ipaddress import ip_network

import pytest
from scapy.layers.inet import TCP

from lab.claims.claims import Claim
from lab.core.prefixes import FAMILIES
from lab.observe import Capture
from lab.routing.update import decode, split
from lab.runtime.lab import Lab
from lab.topology import Family, Prefix
from tests.helpers.static_routes import (
    MOVED,
    SERVICE,
    Vpn,
    expect_fenced,
    expect_rest_outside,
    expect_seen_inside,
    expect_split,
    expect_way,
    moved,
    named,
    prefix_of,
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
    with vpn.user.capture(vpn.device) as arriving, office.announced(ALL):
        # When the later prefixes have arrived, so have the earlier ones.
        later = [prefix_of(MOVED[family]) for family in FAMILIES]
        with office.announced(later):
            user.expect_route(later, via=vpn.device)
            came = announced_in(arriving)
            assert came >= {*ALL, *later}, f"user: expected UPDATEs of {ALL} and {later} to arrive; last seen: {came}"
            inside = {prefix for prefix, route in user.fib.routes().items() if vpn.device in route.interfaces}
            refused = {*ALL, *office.plan.networks} - set(named())
            assert not inside & refused, f"user: expected no route to {refused} into the tunnel; last seen: {inside}"
            expect_rest_outside(vpn)
        user.expect_no_route(later)
    claim.holds()


def announced_in(capture: Capture) -> set[Prefix]:
    """Return the prefixes of the UPDATEs that arrived."""
    frames = [packet.decode() for packet in capture.packets if not packet.outgoing]
    payloads = [bytes(frame[TCP].payload) for frame in frames if TCP in frame]
    updates = [decode(message) for payload in payloads for message in split(payload)[0]]
    return {prefix for update in updates if update is not None for prefix in update.announced}


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
                        expect_seen_inside(vpn, MOVED[family])

                    seen = expect_way(vpn, MOVED[family], "inside", to_service)
                    claim.packet(seen.capture, seen.packet)
                expect_rest_outside(vpn)
            user.expect_no_route(new)
        finally:
            office.announce(old)
    user.expect_route(old, via=vpn.device)
    expect_split(vpn)
    changed = [path for path, content in before.items() if path.read_bytes() != content]
    assert not changed, f"user: expected no file to change; last seen: {changed}"
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
