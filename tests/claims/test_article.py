"""The sentences of the article, each with a verdict."""

import json

import pytest
from scapy.layers.inet import TCP
from scapy.packet import Packet, Raw

from lab.claims.claims import Claim
from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from tests.helpers.article import DROPPED, expect_control_plane, expect_dropped, expect_log, expect_passes
from tests.helpers.claims import expect_dynamic_routing
from tests.helpers.packets import expect_no_answer, is_housekeeping
from tests.helpers.sites import Site

# Both versions run the same in tests/convergence.
pytestmark = [pytest.mark.docker, pytest.mark.topology("article")]


@pytest.mark.claims(
    "without an inner route BGP comes up and both sides have the routes, and traffic is dropped", article="says so"
)
def test_bgp_alone_does_not_reach_the_inner_table(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(iroute=()):
        expect_control_plane(lab, hq, branch)
        claim.rib_entry(hq.router, branch.router.plan.networks[0])
        size = tunnel.server.log_size()
        for family in FAMILIES:
            expect_dropped(hq, branch, family)
            line = expect_log(tunnel.server, f"{DROPPED} [{branch.host.address(family)}]", size)
            claim.log_line(tunnel.server, line)
    expect_control_plane(lab, hq, branch)
    for family in FAMILIES:
        expect_passes(hq, branch, family)
    claim.holds()


@pytest.mark.claims("`iroute 0.0.0.0 0.0.0.0` makes routing over the tunnel dynamic", article="says so")
def test_iroute_for_everything_makes_routing_dynamic(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    expect_dynamic_routing(lab, hq, branch, claim)
    claim.holds()


@pytest.mark.claims("both sides need the inner route, so the server pushes it to the client", article="says so")
def test_only_the_server_needs_the_inner_route(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    for family in FAMILIES:  # without the push, everything passes
        expect_passes(hq, branch, family)
    tunnel = lab.tunnel("branch", "hq")
    size = tunnel.client.log_size()
    with tunnel.configured(push_iroute=True):
        line = expect_log(tunnel.client, "option 'iroute' cannot be used in this context ([PUSH-OPTIONS])", size)
        claim.log_line(tunnel.client, line)
        expect_control_plane(lab, hq, branch)
        for family in FAMILIES:
            expect_passes(hq, branch, family)
    expect_control_plane(lab, hq, branch)
    claim.does_not_hold("the client has no inner table: it rejects the option and keeps working")


@pytest.mark.claims(
    "IPv6 goes through the same tunnel and the same BGP session", article="says so, with the IPv4 line alone"
)
def test_ipv6_shares_tunnel_and_session(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    assert len(hq.router.neighbors()) == 1
    assert hq.router.neighbor("branch").prefixes_received == {"ipv4": 1, "ipv6": 1}
    expect_passes(hq, branch, "ipv6")
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(iroute=("ipv4",)):  # the article's line alone
        expect_control_plane(lab, hq, branch)
        size = tunnel.server.log_size()
        expect_passes(hq, branch, "ipv4")
        expect_dropped(hq, branch, "ipv6")
        line = expect_log(tunnel.server, f"{DROPPED} [{branch.host.address('ipv6')}]", size)
        claim.log_line(tunnel.server, line)
    expect_control_plane(lab, hq, branch)
    expect_passes(hq, branch, "ipv6")
    claim.rib_entry(hq.router, branch.router.plan.networks[1])
    claim.holds_if("with `iroute-ipv6 ::/0` in addition to the IPv4 line")


@pytest.mark.claims(
    "a `client-connect` script or a `client-config-dir` file can set the inner route", article="says so"
)
def test_script_and_file_set_the_inner_route(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    sources = {
        "client-connect": "/tmp/openvpn_cc_",
        "client-config-dir": f"{tunnel.server.process.files}/clients/branch",
    }
    for hand_out, source in sources.items():
        size = tunnel.server.log_size()
        with tunnel.configured(hand_out=hand_out):
            expect_log(tunnel.server, f"reading client specific options from: {source}", size)
            claim.log_line(tunnel.server, expect_log(tunnel.server, "MULTI: internal route 0.0.0.0/0 -> branch/", size))
            expect_control_plane(lab, hq, branch)
            for family in FAMILIES:
                expect_passes(hq, branch, family)
    expect_control_plane(lab, hq, branch)
    claim.holds()


@pytest.mark.claims("the MTU inside is 1500", article="says so")
def test_inner_mtu_is_1500(hq: Site, branch: Site, claim: Claim) -> None:
    for here, there in ((hq, branch), (branch, hq)):
        (device,) = json.loads(here.router.exec("ip", "-j", "link", "show", here.device).raise_on_error().stdout)
        name, mtu = here.router.name, device["mtu"]
        assert mtu == 1500, f"{name}: expected an MTU of 1500 at {here.device}; last seen: {mtu}"
        for family in FAMILIES:
            claim.echo(here.host.expect_reaches(there.host.address(family), packet_size=1500))
            expect_no_answer(here.host, there.host.address(family), "the probe sets DF", packet_size=1501)
    claim.holds()


def carries_data(frame: Packet, port: int) -> bool:
    return TCP in frame and Raw in frame and frame[TCP].sport == port


@pytest.mark.claims(
    "the transit network sees one TCP connection and nothing else of the sites",
    article="says so: it passes middleboxes",
)
def test_transit_sees_one_tcp_connection(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    inner = [site.host.address(family).packed for site in (hq, branch) for family in FAMILIES]
    port = lab.tunnel("branch", "hq").tunnel.port
    with lab.node("transit").capture("eth1") as wire:
        for family in FAMILIES:
            expect_passes(hq, branch, family)
        segment = wire.expect("a segment with data from the server", lambda p: carries_data(p.decode(), port))
    frames = [frame for frame in (packet.decode() for packet in wire.packets) if not is_housekeeping(frame)]
    others = [
        frame.summary() for frame in frames if TCP not in frame or port not in (frame[TCP].sport, frame[TCP].dport)
    ]
    assert not others, f"transit: expected packets of the tunnel only; last seen: {others[-1]}"
    connections = {frozenset((f[TCP].sport, f[TCP].dport)) for f in frames}
    assert len(connections) == 1, f"transit: expected one TCP connection; last seen: ports {connections}"
    clear = [p.decode().summary() for p in wire.packets if any(address in p.data for address in inner)]
    assert not clear, f"transit: expected no address of a site in any packet; last seen: {clear[-1]}"
    claim.packet(wire, segment)
    claim.holds()
