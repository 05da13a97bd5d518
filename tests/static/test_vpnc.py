"""vpnc and strongSwan: IKEv1 in aggressive mode, XAUTH, mode config, and Cisco's split networks. IPv4 only."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.claims.claims import Claim
from lab.runtime.lab import Lab
from lab.topology import Family
from tests.helpers.nmcli import ONLY_ITS_NETWORK, OWN_DNS, OWN_ROUTES, ROUTES, connection, nmcli, up
from tests.helpers.static_routes import (
    INTERNET,
    OFFICE_HOST,
    SERVICE,
    USER,
    Vpn,
    expect_all_inside,
    expect_fenced,
    expect_name_server,
    expect_named_inside,
    expect_no_device,
    expect_no_leak,
    expect_not_followed,
    expect_seen_as,
    expect_split,
    expect_way,
    named,
    resolve,
    talk,
    unreachable,
)

pytestmark = [pytest.mark.docker, pytest.mark.topology("road-warrior-vpnc", openvpn="2.6")]

IPV4: tuple[Family, ...] = ("ipv4",)
ONLY_THESE = "/etc/vpnc/only-these"
"""vpnc's script with split-include variables of the user, from the folder of the topology."""
STAFF = {
    "IPSec gateway": "198.51.100.2",
    "IPSec ID": "staff",
    "IKE DH Group": "dh14",
    "Perfect Forward Secrecy": "nopfs",
    "NAT Traversal Mode": "natt",  # the plugin's default is Cisco's own UDP encapsulation, older than RFC 3947
    "Xauth username": "alice",
    "IPSec secret-flags": "0",
    "Xauth password-flags": "0",
}
SECRETS = {"IPSec secret": "of-the-staff", "Xauth password": "of-alice"}


@pytest.fixture
def claim(claim: Claim) -> Claim:
    """Record claims about vpnc without a version of OpenVPN."""
    claim.openvpn = ""
    return claim


@pytest.fixture
def vpn(lab: Lab) -> Vpn:
    """The VPN by vpnc's device at the user and strongSwan's user-space IPsec device at the office."""
    return Vpn(lab, "vpn0", "ipsec0")


@contextmanager
def connected(vpn: Vpn, group: str, script: str = "", *options: str) -> Iterator[None]:
    """Connect vpnc in the context, as a member of a group."""
    vpn.user.exec("vpnc", group, *(("--script", script) if script else ()), *options).raise_on_error()
    try:
        yield
    finally:
        vpn.user.exec("vpnc-disconnect")
        expect_no_device(vpn)


@pytest.mark.claims("with the concentrator's split networks, only traffic to these goes through vpnc")
def test_vpnc_takes_split_networks_of_the_concentrator(vpn: Vpn, claim: Claim) -> None:
    with connected(vpn, "travellers"):
        expect_all_inside(vpn)
    with connected(vpn, "staff"):
        seen = expect_named_inside(vpn, IPV4)
        claim.packet(seen.capture, seen.packet)
        expect_way(vpn, INTERNET["ipv4"], "outside", lambda: talk(vpn.user, INTERNET["ipv4"], 80))
        expect_name_server(vpn, str(OFFICE_HOST))
        expect_way(vpn, OFFICE_HOST, "inside", lambda: resolve(vpn.user))
    expect_name_server(vpn, str(INTERNET["ipv4"]))
    with connected(vpn, "staff", ONLY_THESE):
        expect_split(vpn, IPV4)
        expect_not_followed(vpn, IPV4)
    claim.holds_if("except for DNS: vpnc's script must be kept from using the name server that the concentrator sends")


@pytest.mark.claims("`CISCO_SPLIT_INC` variables set by the user split traffic if the concentrator names no networks")
def test_vpnc_takes_split_variables_of_the_user(vpn: Vpn, claim: Claim) -> None:
    with connected(vpn, "travellers"):
        expect_all_inside(vpn)
    with connected(vpn, "travellers", ONLY_THESE):
        seen = expect_split(vpn, IPV4)
        claim.packet(seen.capture, seen.packet)
    claim.holds()


@pytest.mark.claims("when vpnc ends, none of its traffic leaves outside the tunnel")
def test_leak_when_vpnc_ends(vpn: Vpn, claim: Claim) -> None:
    for end in (("vpnc-disconnect",), ("pkill", "-KILL", "-x", "vpnc")):
        with connected(vpn, "travellers", ONLY_THESE):
            vpn.user.expect_in_fib(named(IPV4), via=vpn.device)
            vpn.user.exec(*end).raise_on_error()
            expect_no_device(vpn)
            leaked = expect_fenced(vpn, IPV4)
            claim.packet(leaked.capture, leaked.packet)
    with connected(vpn, "travellers", ONLY_THESE):
        expect_split(vpn, IPV4)
    claim.does_not_hold(
        "its routes are removed, also when it is killed, and the service is reached in the clear; `unreachable` "
        "routes or a filter prevent it"
    )


@pytest.mark.thorough
def test_vpnc_ends_when_the_concentrator_is_silent(vpn: Vpn) -> None:
    """Until then its routes stay, and packets into them are lost."""
    with connected(vpn, "travellers", ONLY_THESE, "--dpd-idle", "10"):
        vpn.office.exec("pkill", "-STOP", "-x", "charon").raise_on_error()
        try:
            expect_no_leak(vpn, IPV4)
            vpn.user.expect_in_fib(named(IPV4), via=vpn.device)
            expect_no_device(vpn)
            expect_fenced(vpn, IPV4)
        finally:
            vpn.office.exec("pkill", "-CONT", "-x", "charon").raise_on_error()
    with connected(vpn, "travellers", ONLY_THESE):
        expect_split(vpn, IPV4)


@pytest.mark.claims("traffic to a service with IPv4 and IPv6 addresses goes through vpnc in both families")
def test_vpnc_does_not_tunnel_ipv6(vpn: Vpn, claim: Claim) -> None:
    with connected(vpn, "staff", ONLY_THESE):

        def to_service() -> None:
            expect_seen_as(vpn, SERVICE["ipv6"], USER["ipv6"])

        seen = expect_way(vpn, SERVICE["ipv6"], "outside", to_service)
        claim.packet(seen.capture, seen.packet)
        with unreachable(vpn, ("ipv6",)):
            expect_no_leak(vpn, ("ipv6",))
            expect_named_inside(vpn, IPV4)
    claim.does_not_hold("IPv6 leaves outside the VPN while it is up, unless an `unreachable` route prevents it")


@pytest.mark.parametrize("group", ["staff", pytest.param("travellers", marks=pytest.mark.thorough)])
@pytest.mark.claims(
    "in NetworkManager, with routes without a gateway and `never-default`, only their traffic goes through vpnc"
)
def test_networkmanager_with_vpnc_splits_traffic(lab: Lab, group: str, claim: Claim) -> None:
    vpn = Vpn(lab, "tun0", "ipsec0")
    settings = {**OWN_DNS, **ONLY_ITS_NETWORK}  # the concentrator's split networks
    if group == "travellers":  # which has none
        settings |= {**ROUTES, **OWN_ROUTES}
    secrets = {**SECRETS, "IPSec secret": f"of-the-{group}"}
    with connection(vpn, "vpnc", {**STAFF, "IPSec ID": group}, settings, secrets) as name:
        up(vpn, name)
        seen = expect_split(vpn, IPV4)
        claim.packet(seen.capture, seen.packet)
        nmcli(vpn.user, "con", "down", name)
        expect_no_device(vpn)
        expect_fenced(vpn, IPV4)
        up(vpn, name)
        expect_split(vpn, IPV4)
    claim.holds()
