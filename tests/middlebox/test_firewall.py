"""A firewall that lets only HTTPS out, or only a proxy: with and without a password, and one that refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP

from lab.claims.claims import Claim
from lab.observe import CapturedPacket
from lab.runtime.lab import Lab
from lab.tunnel import RunningTunnel
from tests.helpers.article import expect_log
from tests.helpers.packets import expect_no_answer
from tests.helpers.sites import Site
from tests.helpers.tunnels import expect_lans_reach_each_other, expect_prefixes_come_and_go

pytestmark = [pytest.mark.docker, pytest.mark.topology("behind-firewall", openvpn="2.7")]

PROXY = "192.168.2.2"
PASSWORD = {"user": "branch", "password": "let me out"}
SQUID, CLOSED, TINYPROXY, SOCKS = 3128, 3129, 8888, 1080


def over(mode: str, transport: str = "tcp", **tunnel: Any) -> pytest.MarkDecorator:
    options = {"keepalive": [5, 15], **tunnel.pop("options", {})}
    wanted = {"mode": mode, "transport": transport, "options": options, **tunnel}
    return pytest.mark.topology("behind-firewall", openvpn="2.7", tunnel=wanted)


@contextmanager
def closed(lab: Lab) -> Iterator[None]:
    """Let only the proxy out in the context."""
    firewall = lab.node("firewall")
    firewall.exec("nft", "flush chain ip filter https").raise_on_error()
    try:
        yield
    finally:
        firewall.exec("nft", "add rule ip filter https tcp dport 443 accept").raise_on_error()


def expect_silence(lab: Lab, tunnel: RunningTunnel, hq: Site, branch: Site, claim: Claim) -> None:
    """Check that the client's packets do not leave the firewall, and that no traffic passes."""
    with lab.node("firewall").capture("eth1") as inside, lab.node("firewall").capture("eth3") as outside:
        packet = inside.expect("the client's packets", lambda packet: to_server(packet, tunnel))
        claim.packet(inside, packet)
        expect_no_answer(
            branch.host, hq.host.address("ipv4"), "the firewall drops the client's packets", count=3, wait=0.5
        )
    out = [packet.decode().summary() for packet in outside.packets if to_server(packet, tunnel)]
    assert not out, f"firewall: expected no packet of the client's at eth3; last seen: {out[-1]}"


def to_server(packet: CapturedPacket, tunnel: RunningTunnel) -> bool:
    frame = packet.decode()
    return IP in frame and frame[IP].dst == str(tunnel.tunnel.server_outer) and not packet.outgoing


@pytest.mark.parametrize("mode", [pytest.param(m, marks=over(m)) for m in ("iroute", "p2p-tls")])
@pytest.mark.variants
def test_tunnel_over_port_443_passes_the_firewall(lab: Lab, mode: str, hq: Site, branch: Site) -> None:
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)


@over("iroute")
@pytest.mark.claims("a firewall that allows only HTTPS passes the tunnel", article="says so")
def test_https_only_firewall_passes_the_tunnel(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    expect_prefixes_come_and_go(lab, hq, branch)
    # Another port is dropped, and so is UDP to the same one.
    elsewhere = {"remotes": [{"host": str(tunnel.tunnel.server_outer), "port": 1194}]}
    with tunnel.mismatched(server={}, client=elsewhere):
        expect_silence(lab, tunnel, hq, branch, claim)
    with tunnel.extended(client=["proto udp4"]):
        expect_silence(lab, tunnel, hq, branch, claim)
    lab.wait_ready()
    expect_prefixes_come_and_go(lab, hq, branch)
    claim.holds_if("over TCP, to port 443, if the firewall checks ports but not the content of packets")


PROXIES = {
    "squid": ("iroute", {"http_proxy": {"server": PROXY, "port": SQUID}}),
    "squid-with-a-password": ("p2p-tls", {"http_proxy": {"server": PROXY, "port": CLOSED, **PASSWORD}}),
    "tinyproxy": ("iroute", {"http_proxy": {"server": PROXY, "port": TINYPROXY}}),
    "microsocks": ("p2p-tls", {"socks_proxy": {"server": PROXY, "port": SOCKS}}),
}


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=over(mode)) for name, (mode, _) in PROXIES.items()])
@pytest.mark.variants
def test_tunnel_passes_the_proxy(lab: Lab, proxy: str, hq: Site, branch: Site) -> None:
    """Checks also that the tunnel does not pass without the proxy."""
    tunnel, (_, options) = lab.tunnel("branch", "hq"), PROXIES[proxy]
    with closed(lab):
        tunnel.client.stop()
        tunnel.client.start()
        expect_no_answer(
            branch.host, hq.host.address("ipv4"), "the firewall lets only the proxy out", count=3, wait=0.5
        )
    with tunnel.configured(**options), closed(lab):
        tunnel.client.stop()
        with lab.node("firewall").capture("eth1") as inside:
            tunnel.client.start()
            lab.wait_ready()
            expect_lans_reach_each_other(hq, branch)
            expect_prefixes_come_and_go(lab, hq, branch)
        sent = [packet for packet in inside.packets if not packet.outgoing and TCP in packet.decode()]
        assert {packet.decode()[IP].dst for packet in sent} == {PROXY}
        assert "203.0.113.1" in tunnel.status().real_address
    lab.wait_ready()


@over("iroute")
@pytest.mark.claims("a proxy for browsers passes the tunnel")
def test_browser_proxy_passes_the_tunnel(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    server = str(tunnel.tunnel.server_outer)
    refusals: dict[str, dict[str, Any]] = {
        "403": {"remotes": [{"host": server, "port": 1194}], "http_proxy": {"server": PROXY, "port": SQUID}},
        "407": {"http_proxy": {"server": PROXY, "port": CLOSED}},
    }
    for status, options in refusals.items():
        size = tunnel.client.log_size()
        with tunnel.mismatched(server={}, client=options):
            line = expect_log(tunnel.client, f"HTTP/1.1 {status}", size)
            claim.log_line(tunnel.client, line)
            expect_no_answer(branch.host, hq.host.address("ipv4"), "the proxy refuses the tunnel", count=3, wait=0.5)
    with tunnel.configured(http_proxy={"server": PROXY, "port": CLOSED, **PASSWORD}):
        lab.wait_ready()
        expect_prefixes_come_and_go(lab, hq, branch)
        secret = branch.router.running.files / tunnel.client.process.files.relative_to("/") / "proxy.txt"
        assert secret.stat().st_mode & 0o777 == 0o600
    lab.wait_ready()
    claim.holds_if("over TCP, to a port that the proxy connects to (443), with the proxy's password")
