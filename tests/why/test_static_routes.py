"""Why a node without a routing daemon has no route: lost, refused, or never declared."""

import subprocess
from ipaddress import ip_address, ip_network

import pytest

from lab.runtime.lab import Lab
from lab.topology import Address, Prefix
from lab.why.cause import Explanation
from lab.why.route import no_route
from tests.helpers.causes import expect_cause

pytestmark = [pytest.mark.docker, pytest.mark.topology("fixed-routes", openvpn="2.7")]


def ip(lab: Lab, node: str, *words: str) -> None:
    """Run ip(8) in a node's namespace, from the host: a node without a router may not change its routes."""
    command = ["nsenter", f"--net={lab.running(node).namespace.path}", "ip", *words]
    subprocess.run(command, check=True, capture_output=True)


def expect_kind(lab: Lab, node: str, to: Address | Prefix, kind: str) -> Explanation:
    """Wait until the only cause at a node is of a kind; the kernel's routes are reported to the lab some time later."""
    return expect_cause(node, lambda: no_route(lab, node, to), kind, node=node)


@pytest.mark.parametrize(
    ("flag", "to", "via"), [("-4", "10.2.0.10", "10.1.0.1"), ("-6", "2001:db8:2::10", "2001:db8:1::1")]
)
def test_static_route_that_was_lost(lab: Lab, flag: str, to: str, via: str) -> None:
    assert no_route(lab, "hq-lan", ip_address(to)) == Explanation()
    ip(lab, "hq-lan", flag, "route", "del", "default")
    try:
        found = expect_kind(lab, "hq-lan", ip_address(to), "static-route-lost")
        assert f"hq-lan lost its static route to default via {via}, which fixed-routes.clab.yml declares" in str(found)
    finally:
        ip(lab, "hq-lan", flag, "route", "add", "default", "via", via, "proto", "static")
    lab.node("hq-lan").expect_in_fib(ip_network("0.0.0.0/0" if flag == "-4" else "::/0"))
    assert no_route(lab, "hq-lan", ip_address(to)) == Explanation()


def test_route_of_openvpn_that_was_lost(lab: Lab) -> None:
    prefix = ip_network("10.1.0.0/24")
    before = lab.node("branch").exec("ip", "route", "show", str(prefix)).raise_on_error().stdout.split()
    ip(lab, "branch", "route", "del", str(prefix))
    try:
        assert "which OpenVPN sets when the tunnel connects" in str(
            expect_kind(lab, "branch", prefix, "static-route-lost")
        )
    finally:
        ip(lab, "branch", "route", "add", *before)
    lab.node("branch").expect_in_fib(prefix)
    assert no_route(lab, "branch", prefix) == Explanation()


@pytest.mark.topology("fixed-routes", openvpn="2.7", tunnel={"options": {"server-networks": ["2001:db8:1::/64"]}})
def test_route_that_no_line_makes(lab: Lab) -> None:
    prefix = ip_network("10.1.0.0/24")
    found = expect_kind(lab, "branch", prefix, "no-static-route")
    assert "add 10.1.0.0/24 to `server-networks` of the tunnel branch-hq in fixed-routes.clab.yml" in str(found)
    assert no_route(lab, "branch", ip_network("2001:db8:1::/64")) == Explanation()


def test_route_that_openvpn_cannot_add(lab: Lab) -> None:
    """Without its addresses the client cannot reach the gateway of the routes that the server pushes."""
    prefixes = (ip_network("10.1.0.0/24"), ip_network("2001:db8:1::/64"))
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.extended(client=["ifconfig-noexec"]):
        tunnel.wait_connected()
        for prefix in prefixes:
            found = expect_kind(lab, "branch", prefix, "route-not-added")
            assert f"branch's OpenVPN could not add the route to {prefix}" in str(found)
    tunnel.wait_connected()
    for prefix in prefixes:
        lab.node("branch").expect_in_fib(prefix)
        assert no_route(lab, "branch", prefix) == Explanation()


@pytest.mark.topology("fixed-routes", openvpn="2.7", tunnel={"options": {"route-nopull": True}})
def test_pushed_route_that_the_client_refuses(lab: Lab) -> None:
    for prefix in (ip_network("10.1.0.0/24"), ip_network("2001:db8:1::/64")):
        found = expect_kind(lab, "branch", prefix, "pushed-route-refused")
        assert "remove `route-nopull` from the tunnel branch-hq" in str(found)
    assert no_route(lab, "hq", ip_network("10.2.0.0/24")) == Explanation()
