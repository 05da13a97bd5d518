"""Ends whose addresses change: a name that is resolved again, several `remote` lines, and a client that moves."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface
from typing import Any

import pytest

from lab.claims.claims import Claim
from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.tunnel import TunnelStatus
from tests.helpers.article import expect_not_logged
from tests.helpers.packets import expect_no_answer
from tests.helpers.sites import Site
from tests.helpers.tunnels import expect_prefixes_come_and_go, session_of

pytestmark = [pytest.mark.docker, pytest.mark.topology("moving-server", openvpn="2.7")]

OLD, NEW = IPv4Interface("198.51.100.1/24"), IPv4Interface("198.51.100.77/24")
HERE, ELSEWHERE = IPv4Interface("203.0.113.2/24"), IPv4Interface("203.0.113.99/24")
GATEWAYS = {"hq": ("203.0.113.0/24", "198.51.100.254"), "branch": ("198.51.100.0/24", "203.0.113.254")}
REMOTES = [{"host": str(OLD.ip)}, {"host": str(NEW.ip)}]


def moving(mode: str, transport: str, **options: Any) -> pytest.MarkDecorator:
    tunnel = {"mode": mode, "transport": transport, "options": {"keepalive": [2, 6], **options}}
    return pytest.mark.topology("moving-server", openvpn="2.7", tunnel=tunnel)


@contextmanager
def moved(node: LabNode, here: IPv4Interface, there: IPv4Interface) -> Iterator[None]:
    """Change a node's address and its routes in the context."""

    def change(before: IPv4Interface, after: IPv4Interface) -> None:
        node.running.remove_addresses("eth1", [before])
        node.running.add_addresses("eth1", [after])
        prefix, gateway = GATEWAYS[node.name]
        node.exec("ip", "route", "replace", prefix, "via", gateway).raise_on_error()
        if node.name == "branch":
            node.exec("ip", "route", "replace", "192.0.2.0/24", "via", gateway).raise_on_error()

    change(here, there)
    try:
        yield
    finally:
        change(there, here)


def set_name(lab: Lab, address: IPv4Interface) -> None:
    """Change the address of the name in DNS."""
    script = f"echo {address.ip} vpn.example.com > /run/names; pkill -HUP dnsmasq"
    lab.node("names").exec("sh", "-c", script).raise_on_error()


def expect_back(lab: Lab, hq: Site, branch: Site, before: TunnelStatus, since: float) -> float:
    """Wait for a new OpenVPN session with BGP and the routes of both sites; returns the seconds that it took."""
    tunnel = lab.tunnel("branch", "hq")
    wait_for(
        Expectation(
            what="another session of OpenVPN's",
            node="branch",
            look=tunnel.status,
            met=lambda now: session_of(now) != session_of(before),
            logs=tunnel.client.log,
        ),
        within=90,
        since=since,
    )
    for here, there in ((hq, branch), (branch, hq)):
        here.router.expect_session(there.router, within=90, since=since)
        here.router.expect_route(there.router.plan.networks, via=here.device, within=90, since=since)
    took = time.monotonic() - since
    branch.host.expect_reaches(hq.host.address("ipv4"))
    return took


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(m, id=f"{m}-{t}", marks=moving(m, t, remotes=[{"host": "vpn.example.com"}], listen="any"))
        for m, t in (("p2p-tls", "udp"), ("iroute", "tcp"))
    ],
)
@pytest.mark.variants
@pytest.mark.thorough
def test_client_resolves_the_name_again_when_its_address_changes(lab: Lab, mode: str, hq: Site, branch: Site) -> None:
    before = lab.tunnel("branch", "hq").status()
    with moved(hq.router, OLD, NEW):
        since = time.monotonic()
        set_name(lab, NEW)
        try:
            expect_back(lab, hq, branch, before, since)
            expect_prefixes_come_and_go(lab, hq, branch)
            before = lab.tunnel("branch", "hq").status()
        finally:
            set_name(lab, OLD)
    expect_back(lab, hq, branch, before, time.monotonic())


@moving("iroute", "udp", remotes=[{"host": "vpn.example.com"}], listen="any")
@pytest.mark.claims("when the server's address changes, the tunnel and BGP recover")
def test_tunnel_returns_when_the_server_address_changes(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before = tunnel.status()
    with moved(hq.router, OLD, NEW):
        since = time.monotonic()
        set_name(lab, NEW)
        try:
            claim.echo(f"by its name: BGP was back after {expect_back(lab, hq, branch, before, since):.1f} s")
        finally:
            set_name(lab, OLD)
    with tunnel.configured(remotes=REMOTES, connect_timeout=5):
        lab.wait_ready()
        before = tunnel.status()
        with moved(hq.router, OLD, NEW):
            took = expect_back(lab, hq, branch, before, time.monotonic())
            claim.echo(f"by the second of two `remote` lines: BGP was back after {took:.1f} s")
    with tunnel.configured(remotes=REMOTES[:1]):  # one address only, which is gone
        lab.wait_ready()
        size = tunnel.client.log_size()
        with moved(hq.router, OLD, NEW):
            branch.router.expect_no_route(hq.router.plan.networks)
            expect_no_answer(
                branch.host, hq.host.address("ipv4"), "branch has hq's old address only", count=8, wait=0.5
            )
        expect_not_logged(tunnel.client, str(NEW.ip), size)
        lab.wait_ready()
        branch.host.expect_reaches(hq.host.address("ipv4"))
    lab.wait_ready()
    claim.holds_if(
        "after `ping-restart`, if the client has a host name or the other address, and the server listens on all "
        "addresses"
    )


@moving("iroute", "udp", remotes=[{"host": "vpn.example.com"}], listen="any")
@pytest.mark.claims("when the client's address changes, the tunnel continues")
def test_tunnel_continues_when_the_client_address_changes(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before = tunnel.status()
    with moved(branch.router, HERE, ELSEWHERE):
        claim.echo(branch.host.expect_reaches(hq.host.address("ipv4")))
        after = tunnel.status()
        seen, wanted = after.real_address, str(ELSEWHERE.ip)
        assert wanted in seen, f"hq: expected the client at {wanted}; last seen: {seen}"
        ids = session_of(after), session_of(before)
        assert ids[0] == ids[1], f"hq: expected the session {ids[1]} to stay; last seen: {ids[0]}"
        expect_prefixes_come_and_go(lab, hq, branch)
    branch.host.expect_reaches(hq.host.address("ipv4"))
    claim.holds_if("over UDP, with `mode server`; over TCP and point to point only after `ping-restart`")
