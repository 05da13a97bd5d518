"""Inner packets of 1500 bytes over a path with a smaller MTU that filters ICMP."""

from typing import Any

import pytest

from lab.claims.claims import Claim
from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from tests.helpers.packets import expect_no_answer
from tests.helpers.sites import Site
from tests.helpers.tunnels import expect_lans_reach_each_other, expect_prefixes_come_and_go

pytestmark = [pytest.mark.docker, pytest.mark.topology("narrow-path", openvpn="2.7")]

FULL = 1500
HEADERS = 100
"""The bytes for the headers of OpenVPN, UDP and IP."""


def narrow(mode: str, mtu: int, transport: str, outer: str) -> Any:
    tunnel = {"mode": mode, "transport": transport, "outer": outer, "options": {"keepalive": [5, 15]}}
    marks = [pytest.mark.topology("narrow-path", openvpn="2.7", tunnel=tunnel)]
    marks += [pytest.mark.thorough] if mtu == 1280 else []
    return pytest.param(mtu, id=f"{mtu}-{mode}-{outer}", marks=marks)


def both_widths(transport: str) -> list[Any]:
    return [
        narrow("iroute" if (outer == "ipv4") == (mtu == 1492) else "p2p-tls", mtu, transport, outer)
        for mtu in (1492, 1280)
        for outer in ("ipv4", "ipv6")
    ]


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, mtu: int, clamp: str) -> None:
    """Set the topology's variables in the environment, before the lab starts."""
    monkeypatch.setenv("PATH_MTU", str(mtu))
    monkeypatch.setenv("CLAMP", clamp)


def expect_full_size(hq: Site, branch: Site) -> None:
    for here, there in ((hq, branch), (branch, hq)):
        for family in FAMILIES:
            here.host.expect_reaches(there.host.address(family), packet_size=FULL)


def expect_no_full_size(hq: Site, branch: Site) -> None:
    """Check that packets of full size are lost without an error."""
    for here, there in ((hq, branch), (branch, hq)):
        for family in FAMILIES:
            address = there.host.address(family)
            expect_no_answer(here.host, address, "the path is too narrow", count=2, packet_size=FULL)


@pytest.mark.parametrize("mtu", both_widths("udp"))
@pytest.mark.parametrize("clamp", ["no"])
def test_full_size_packets_over_udp_pass_by_fragments(path: None, lab: Lab, mtu: int, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq")
    expect_lans_reach_each_other(hq, branch)
    if tunnel.tunnel.outer == "ipv4":  # routers fragment on the path
        expect_full_size(hq, branch)
    else:  # IPv6 routers do not (RFC 8200, section 5), and ICMP is filtered
        expect_no_full_size(hq, branch)
    with tunnel.configured(fragment=mtu - HEADERS):
        lab.wait_ready()
        expect_full_size(hq, branch)
        expect_prefixes_come_and_go(lab, hq, branch)
    lab.wait_ready()


@pytest.mark.parametrize("mtu", both_widths("tcp"))
@pytest.mark.parametrize("clamp", ["yes"])
def test_full_size_packets_over_tcp_pass_with_clamped_mss(
    path: None, lab: Lab, mtu: int, hq: Site, branch: Site
) -> None:
    expect_full_size(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)


@pytest.mark.topology("narrow-path", openvpn="2.7", tunnel={"transport": "tcp", "options": {"keepalive": [5, 15]}})
@pytest.mark.parametrize(("mtu", "clamp"), [(1492, "no")])
@pytest.mark.claims(
    "an inner packet of 1500 bytes also passes over a path with an MTU of 1492 that filters ICMP", article="says so"
)
def test_full_size_packet_over_a_narrow_path_without_icmp(
    path: None, lab: Lab, mtu: int, clamp: str, hq: Site, branch: Site, claim: Claim
) -> None:
    expect_lans_reach_each_other(hq, branch)
    expect_no_full_size(hq, branch)
    claim.echo(branch.host.echo(hq.host.address("ipv4"), count=2, packet_size=FULL, wait=1.0))
    lowered = "add chain inet silent clamp { type filter hook forward priority 0; }"
    rule = "add rule inet silent clamp tcp flags syn tcp option maxseg size set rt mtu"
    dsl, tunnel = lab.node("dsl"), lab.tunnel("branch", "hq")
    dsl.exec("nft", f"{lowered}; {rule}").raise_on_error()
    try:
        tunnel.stop("KILL")  # it cannot close connections that wait for a segment which is too long
        tunnel.start()
        lab.wait_ready()
        expect_full_size(hq, branch)
        claim.echo(branch.host.expect_reaches(hq.host.address("ipv4"), packet_size=FULL))
    finally:
        dsl.exec("nft", "delete chain inet silent clamp").raise_on_error()
        tunnel.stop("KILL")
        tunnel.start()
    lab.wait_ready()
    claim.holds_if(
        "over UDP on IPv4, if its fragments pass; over TCP the router at the narrow link must clamp the MSS, and UDP "
        "on IPv6 needs OpenVPN's `fragment`"
    )
