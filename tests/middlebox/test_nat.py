"""Address translation at a site and at its provider, and mappings that time out or are lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP

from lab.claims.claims import Claim
from lab.core.expect import Expectation, wait_for
from lab.observe import CapturedPacket
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from tests.helpers.article import expect_log
from tests.helpers.packets import expect_no_answer
from tests.helpers.sites import Site
from tests.helpers.tunnels import expect_lans_reach_each_other, expect_prefixes_come_and_go, session_of

pytestmark = [pytest.mark.docker, pytest.mark.topology("behind-nat", openvpn="2.7")]

PUBLIC = "203.0.113.1"
PRIVATE = ("192.168.1.2", "100.64.0.2")
CONNECTIONS = Path("/proc/thread-self/net/nf_conntrack")
"""The tracked connections of a NAT; closed ones are not listed, although they may still be counted."""
FORGOTTEN = "carrier has forgotten the mapping"
RARE, FREQUENT = (60, 180), (2, 10)
"""Keepalives longer than the timeout of the provider's NAT, and shorter."""


def through(mode: str, transport: str, **options: Any) -> pytest.MarkDecorator:
    tunnel = {"mode": mode, "transport": transport, "options": {"keepalive": [5, 15], **options}}
    return pytest.mark.topology("behind-nat", openvpn="2.7", tunnel=tunnel)


WAYS = [
    pytest.param(mode, id=f"{mode}-{transport}", marks=through(mode, transport))
    for mode, transport in (("iroute", "udp"), ("p2p-tls", "tcp"), ("iroute", "tcp"), ("p2p-tls", "udp"))
]


@pytest.fixture
def rare_keepalives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have BGP send keepalives only once a minute; set before the lab starts."""
    for name, value in (("BGP_KEEPALIVE", "60"), ("BGP_HOLD", "180"), ("TIMEOUT", "5")):
        monkeypatch.setenv(name, value)


@pytest.fixture
def long_hold_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give BGP a hold time that also suffices on a busy host; set before the lab starts."""
    monkeypatch.setenv("BGP_HOLD", "30")


@contextmanager
def without_nat(lab: Lab, node: str) -> Iterator[None]:
    """Disable a NAT in the context; it loses its mappings."""
    rule = "add rule ip nat out oifname eth2 masquerade fully-random"
    chain = "add chain ip nat out { type nat hook postrouting priority srcnat; }"
    lab.node(node).exec("nft", "delete table ip nat").raise_on_error()
    try:
        yield
    finally:
        lab.node(node).exec("nft", f"add table ip nat; {chain}; {rule}").raise_on_error()


def comes_from(*addresses: str) -> Any:
    def check(packet: CapturedPacket) -> bool:
        frame = packet.decode()
        return IP in frame and frame[IP].src in addresses

    return check


@pytest.mark.variants
@pytest.mark.parametrize("mode", WAYS)
def test_tunnel_passes_two_nats(lab: Lab, mode: str, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before = tunnel.status()
    assert before.real_address.rpartition(":")[0].endswith(PUBLIC)
    with lab.node("transit").capture("eth2") as capture:
        expect_lans_reach_each_other(hq, branch)
        capture.expect("the site's packets under the provider's address", comes_from(PUBLIC))
    assert not [packet for packet in capture.packets if comes_from(*PRIVATE)(packet)]
    expect_prefixes_come_and_go(lab, hq, branch)
    assert session_of(tunnel.status()) == session_of(before)


@pytest.mark.claims(
    "a site behind NAT can open the tunnel, and routes pass in both directions",
    article="says so: it passes middleboxes",
)
@through("iroute", "udp")
def test_site_behind_nat_opens_the_tunnel(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with without_nat(lab, "home"):  # only the provider has a NAT
        tunnel.stop()
        tunnel.start()
        lab.wait_ready()
        expect_prefixes_come_and_go(lab, hq, branch)
    tunnel.stop()
    with without_nat(lab, "carrier"):  # packets from 100.64.0.2 get no answer
        with lab.node("transit").capture("eth2") as capture:
            tunnel.server.start()
            tunnel.client.start()
            claim.packet(capture, capture.expect("an untranslated packet", comes_from(PRIVATE[1])))
            expect_no_answer(branch.host, hq.host.address("ipv4"), "carrier does not translate", count=3, wait=0.5)
        tunnel.stop()
    tunnel.start()
    lab.wait_ready()
    with lab.node("transit").capture("eth2") as capture:
        expect_prefixes_come_and_go(lab, hq, branch)
        claim.packet(capture, capture.expect("a translated packet", comes_from(PUBLIC)))
    claim.holds()


def connections_of(nat: LabNode) -> list[str]:
    """Return the NAT's tracked connections of the tunnel."""
    return [line for line in nat.running.namespace.run(CONNECTIONS.read_text).splitlines() if "dport=1194" in line]


def expect_timed_out(lab: Lab) -> None:
    """Wait until the provider's NAT has no mapping left."""
    carrier = lab.node("carrier")
    wait_for(
        Expectation(
            what="the mapping to time out",
            node="carrier",
            look=lambda: connections_of(carrier),
            met=lambda found: not found,
            seen=lambda found: f"{len(found)} connections",
        ),
        within=90,
    )


@through("iroute", "udp")
@pytest.mark.claims("behind a NAT with a short timeout, the server reaches the client of an idle tunnel")
def test_idle_tunnel_behind_a_nat_with_a_short_timeout(
    rare_keepalives: None, lab: Lab, hq: Site, branch: Site, claim: Claim
) -> None:
    tunnel = lab.tunnel("branch", "hq")
    prefix = lab.free_prefix("ipv4")
    with tunnel.configured(keepalive=RARE):
        lab.wait_ready()
        before = tunnel.status()
        size = tunnel.server.log_size()
        expect_timed_out(lab)
        with hq.router.announced(prefix):
            expect_no_answer(hq.host, branch.host.address("ipv4"), FORGOTTEN, count=3)
            assert prefix not in branch.router.fib.routes(), f"branch: expected no route to {prefix}, since {FORGOTTEN}"
            # A packet from the client makes a new mapping with another port; the server follows.
            branch.host.expect_reaches(hq.host.address("ipv4"))
            branch.router.expect_route(prefix, via=branch.device, within=60)
            claim.log_line(tunnel.server, expect_log(tunnel.server, "floated", size))
        after = tunnel.status()
        assert after.real_address != before.real_address
        assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)
    with tunnel.configured(keepalive=FREQUENT):
        lab.wait_ready()
        before = tunnel.status()
        for _ in range(3):  # three times its timeout
            quiet = lab.node("carrier").exec("sleep", "5")
            assert not quiet.failed
            assert connections_of(lab.node("carrier")), "carrier: expected it to keep the mapping; last seen: none"
        claim.echo(hq.host.expect_reaches(branch.host.address("ipv4")))
        assert tunnel.status().real_address == before.real_address
    lab.wait_ready()
    claim.holds_if(
        "with a `keepalive` shorter than the NAT's timeout; otherwise the server's packets are lost until the client "
        "sends one"
    )


@through("iroute", "tcp")
@pytest.mark.claims("a tunnel over TCP recovers after a NAT has lost its mapping")
def test_tcp_tunnel_returns_after_a_lost_mapping(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    lab.wait_ready()
    before, size = tunnel.status(), tunnel.client.log_size()
    prefix = lab.free_prefix("ipv4")
    with hq.router.announced(prefix):
        branch.router.expect_route(prefix, via=branch.device)
        since = lab.fault("connections-forgotten", node="carrier").began.since
        branch.router.expect_no_route(prefix, since=since)
        claim.log_line(tunnel.client, expect_log(tunnel.client, "Inactivity timeout (--ping-restart)", size))
        branch.router.expect_route(prefix, via=branch.device, since=since, within=90)
    lab.wait_ready()
    after = tunnel.status()
    assert after.client_id != before.client_id
    assert after.real_address != before.real_address
    claim.echo(branch.host.expect_reaches(hq.host.address("ipv4")))
    claim.holds_if("after `ping-restart` at the client, which gets no error; until then the routes are gone")


@through("iroute", "udp")
def test_udp_tunnel_continues_after_a_lost_mapping(long_hold_time: None, lab: Lab, hq: Site, branch: Site) -> None:
    """The next packet from inside makes a new mapping, and the server follows: session and routes continue."""
    tunnel = lab.tunnel("branch", "hq")
    lab.wait_ready()
    before, size = tunnel.status(), tunnel.server.log_size()
    since = lab.fault("connections-forgotten", node="carrier").began.since
    expect_log(tunnel.server, "floated", size)
    hq.host.expect_reaches(branch.host.address("ipv4"))
    assert not branch.router.fib.events(since)
    assert not hq.router.fib.events(since)
    after = tunnel.status()
    assert after.real_address != before.real_address
    assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)


@through("p2p-tls", "udp")
@pytest.mark.claims("a tunnel over UDP continues when its client's port changes")
def test_udp_tunnel_with_a_changed_client_port(
    rare_keepalives: None, lab: Lab, hq: Site, branch: Site, claim: Claim
) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(keepalive=RARE):
        lab.wait_ready()
        size = tunnel.server.log_size()
        expect_timed_out(lab)
        expect_no_answer(
            branch.host, hq.host.address("ipv4"), f"{FORGOTTEN}, and hq has no key for another port", count=3
        )
        claim.log_line(tunnel.server, expect_log(tunnel.server, "local/remote TLS keys are out of sync", size))
    with tunnel.configured(keepalive=RARE, float=True):  # accepts the packet, but finds no key for its address
        lab.wait_ready()
        expect_timed_out(lab)
        expect_no_answer(branch.host, hq.host.address("ipv4"), "`float` finds no key for another port", count=5)
    with tunnel.configured(keepalive=FREQUENT):  # the mapping and the port stay
        lab.wait_ready()
        claim.echo(branch.host.expect_reaches(hq.host.address("ipv4")))
    lab.wait_ready()
    claim.holds_if(
        "with `mode server`, which identifies clients by a number in each packet; point to point over TLS it fails "
        "even with `float`, since the address selects the keys"
    )
