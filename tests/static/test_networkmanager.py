"""NetworkManager's OpenVPN plugin: the settings of its dialogue, by nmcli."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from scapy.layers.inet import UDP

from lab.claims.claims import Claim
from lab.observe import CapturedPacket
from lab.runtime.lab import Lab
from tests.helpers.nmcli import ONLY_ITS_NETWORK, OWN_DNS, OWN_ROUTES, ROUTES, connection, nmcli, up
from tests.helpers.static_routes import (
    INTERNET,
    NEIGHBOUR,
    OFFICE_HOST,
    OFFICE_NETWORK,
    SERVICE,
    Vpn,
    expect_all_inside,
    expect_fenced,
    expect_name_server,
    expect_named_inside,
    expect_no_device,
    expect_no_leak,
    expect_not_followed,
    expect_split,
    expect_way,
    named,
    prefix_of,
    resolve,
    talk,
)

pytestmark = [pytest.mark.docker, pytest.mark.topology("road-warrior-networkmanager", openvpn="2.6")]

FILES = "/etc/openvpn/client/user-office"
OPENVPN = {
    "connection-type": "tls",
    "remote": "198.51.100.2:1194",
    "ca": f"{FILES}/ca.crt",
    "cert": f"{FILES}/client.crt",
    "key": f"{FILES}/client.key",
    "cert-pass-flags": "4",
    "remote-cert-tls": "server",
    "dev": "tun0",
}
SPLIT = {**ROUTES, **ONLY_ITS_NETWORK, **OWN_ROUTES, **OWN_DNS}


@pytest.fixture
def vpn(lab: Lab) -> Iterator[Vpn]:
    """A VPN whose server runs, without the client that the lab started."""
    tunnel = lab.tunnel("user-office")
    tunnel.client.stop()
    yield Vpn(lab)
    tunnel.start()


@contextmanager
def connected(vpn: Vpn, settings: Mapping[str, str]) -> Iterator[str]:
    """Connect the VPN with some settings in the context; yields the connection's name."""
    with connection(vpn, "openvpn", OPENVPN, settings) as name:
        up(vpn, name)
        yield name


def routes(vpn: Vpn) -> dict[str, dict[str, Any]]:
    """Return the kernel's IPv4 routes through the tunnel by prefix."""
    told = vpn.user.exec("ip", "-j", "route", "show", "dev", vpn.device).raise_on_error().stdout
    return {route["dst"]: route for route in json.loads(told)}


@pytest.mark.claims(
    "in NetworkManager, with routes without a gateway and `never-default`, only their traffic goes through OpenVPN"
)
def test_networkmanager_with_own_routes_splits_traffic(vpn: Vpn, claim: Claim) -> None:
    addresses = vpn.user.exec("ip", "addr", "show", "dev", "eth1").raise_on_error().stdout
    with connected(vpn, {}):
        expect_all_inside(vpn)
    with connected(vpn, SPLIT):
        seen = expect_split(vpn)
        claim.packet(seen.capture, seen.packet)
        there = routes(vpn)
        assert there[str(OFFICE_NETWORK)]["metric"] == 1
        assert not any("gateway" in route for route in there.values())
        expect_not_followed(vpn)
    assert "eth1:ethernet:unmanaged" in nmcli(vpn.user, "-t", "-f", "device,type,state", "device")
    assert vpn.user.exec("ip", "addr", "show", "dev", "eth1").stdout == addresses
    claim.holds()


@pytest.mark.thorough
@pytest.mark.claims("without `never-default` NetworkManager sends all traffic through a VPN, whatever its routes")
def test_networkmanager_without_never_default_takes_everything(vpn: Vpn, claim: Claim) -> None:
    with connected(vpn, {**ROUTES, **OWN_DNS}):
        expect_all_inside(vpn)
    with connected(vpn, {**ROUTES, **OWN_DNS, **OWN_ROUTES}):
        expect_split(vpn)
    with connected(vpn, {**ROUTES, **OWN_DNS, **ONLY_ITS_NETWORK}):  # with the other pushed routes
        seen = expect_way(vpn, NEIGHBOUR["ipv4"], "inside", lambda: vpn.user.expect_reaches(NEIGHBOUR["ipv4"]))
        claim.packet(seen.capture, seen.packet)
        expect_way(vpn, INTERNET["ipv4"], "outside", lambda: talk(vpn.user, INTERNET["ipv4"], 80))
    claim.holds_if("if the pushed routes are accepted; `ignore-auto-routes` ignores the pushed default route as well")


@pytest.mark.thorough
@pytest.mark.claims("the IPv4 settings in NetworkManager keep IPv6 out of the VPN as well")
def test_networkmanager_ipv4_settings_do_not_apply_to_ipv6(vpn: Vpn, claim: Claim) -> None:
    with connected(vpn, {key: value for key, value in SPLIT.items() if key.startswith("ipv4.")}):
        expect_way(vpn, INTERNET["ipv4"], "outside", lambda: talk(vpn.user, INTERNET["ipv4"], 80))
        seen = expect_all_inside(vpn, "ipv6")
        claim.packet(seen.capture, seen.packet)
    with connected(vpn, SPLIT):
        expect_split(vpn)
    claim.does_not_hold("each family has its own routes, `never-default` and `ignore-auto-routes`")


@pytest.mark.thorough
@pytest.mark.claims("with `never-default` the name servers from before the VPN stay in use")
def test_networkmanager_uses_the_pushed_name_server(vpn: Vpn, claim: Claim) -> None:
    with connected(vpn, {**ROUTES, **ONLY_ITS_NETWORK, **OWN_ROUTES}):
        expect_named_inside(vpn)
        expect_name_server(vpn, str(OFFICE_HOST))
        seen = expect_way(vpn, OFFICE_HOST, "inside", lambda: resolve(vpn.user))
        claim.packet(seen.capture, seen.packet)
    with connected(vpn, SPLIT):
        expect_split(vpn)
    claim.does_not_hold("the pushed name server is used, through the tunnel; `ignore-auto-dns` keeps the earlier ones")


@pytest.mark.thorough
@pytest.mark.claims("a route into a VPN needs no gateway")
def test_networkmanager_route_needs_no_gateway(vpn: Vpn, claim: Claim) -> None:
    for gateway in ("", " 10.8.0.1", " 203.0.113.1"):  # none, the tunnel's other end, a router that does not exist
        own = {**SPLIT, "ipv4.routes": f"{SERVICE['ipv4']}/32{gateway}, {OFFICE_NETWORK}{gateway} 1"}
        with connected(vpn, own):
            seen = expect_named_inside(vpn, ("ipv4",))
            claim.packet(seen.capture, seen.packet)
    claim.holds()


@pytest.mark.claims("when NetworkManager's VPN goes down, none of its traffic leaves outside the tunnel")
def test_leak_when_networkmanager_disconnects(vpn: Vpn, claim: Claim) -> None:
    with connected(vpn, SPLIT) as name:
        vpn.user.expect_in_fib([prefix_of(SERVICE["ipv6"]), *named(("ipv4",))], via=vpn.device)
        nmcli(vpn.user, "con", "down", name)
        expect_no_device(vpn)
        leaked = expect_fenced(vpn)
        claim.packet(leaked.capture, leaked.packet)
        up(vpn, name)
        expect_split(vpn)
    claim.does_not_hold(
        "its routes are removed, and the service is reached in the clear; `unreachable` routes or a filter prevent it"
    )


@pytest.mark.thorough
def test_networkmanager_removes_routes_when_its_openvpn_is_killed(vpn: Vpn) -> None:
    with connected(vpn, SPLIT) as name:
        expect_split(vpn)
        vpn.user.exec("pkill", "-KILL", "-x", "openvpn").raise_on_error()
        expect_no_device(vpn)
        expect_fenced(vpn)
        up(vpn, name)
        expect_split(vpn)


@pytest.mark.thorough
def test_networkmanager_keeps_routes_while_the_server_is_gone(vpn: Vpn) -> None:
    """OpenVPN keeps the device through a restart (`persist-tun`), so that packets into it are lost."""
    tunnel = vpn.lab.tunnel("user-office")
    with connected(vpn, SPLIT) as name:
        with vpn.user.capture("eth1") as eth1:
            tunnel.server.stop("KILL")
            eth1.expect("a packet to open a session", _is_first_packet)
        vpn.user.expect_in_fib([prefix_of(SERVICE["ipv6"]), *named(("ipv4",))], via=vpn.device)
        expect_no_leak(vpn)
        nmcli(vpn.user, "con", "down", name)
        expect_no_device(vpn)
        tunnel.server.start()
        up(vpn, name)
        expect_split(vpn)


def _is_first_packet(packet: CapturedPacket) -> bool:
    """Return whether it is a client's first packet: P_CONTROL_HARD_RESET_CLIENT_V2, opcode 7 in the upper five bits."""
    frame = packet.decode()
    return packet.outgoing and UDP in frame and frame[UDP].dport == 1194 and bytes(frame[UDP].payload)[0] >> 3 == 7
