"""Every routing daemon, with every protocol that it speaks: prefixes of both families cross the tunnel and go again."""

import time

import pytest

from lab.lab import Lab
from lab.router import FAMILIES
from tests.daemons.conftest import Pair, Site

pytestmark = [pytest.mark.docker, pytest.mark.convergence, pytest.mark.topology("pair.clab.yml")]

BOTH = [
    Pair("frr-bird-bgp", "daemon: frr, asn: 65001", "daemon: bird, asn: 65002"),
    Pair("frr-unnumbered", "asn: 65001, sessions: unnumbered", "asn: 65002, sessions: unnumbered"),
    Pair("frr-ospf", "daemon: frr, protocol: ospf", "daemon: frr, protocol: ospf"),
    Pair("frr-bird-rip", "daemon: frr, protocol: rip", "daemon: bird, protocol: rip"),
]
"""What both versions of OpenVPN carry: each kind of packet once."""

ONE = [
    Pair("bird-bgp", "daemon: bird, asn: 65001", "daemon: bird, asn: 65002"),
    Pair("bird3-bgp", "daemon: bird3, asn: 65001", "daemon: bird3, asn: 65002"),
    Pair("frr-bird-ibgp", "daemon: frr, asn: 65001", "daemon: bird, asn: 65001"),
    Pair("frr-ibgp", "daemon: frr, asn: 65001", "daemon: frr, asn: 65001"),
    Pair(
        "frr-bird-per-family",
        "daemon: frr, asn: 65001, sessions: per-family",
        "daemon: bird, asn: 65002, sessions: per-family",
    ),
    Pair(
        "frr-bird-unnumbered",
        "daemon: frr, asn: 65001, sessions: unnumbered",
        "daemon: bird, asn: 65002, sessions: unnumbered",
    ),
    Pair(
        "frr-bird3-unnumbered",
        "daemon: frr, asn: 65001, sessions: unnumbered",
        "daemon: bird3, asn: 65002, sessions: unnumbered",
    ),
    Pair("frr-rip", "daemon: frr, protocol: rip", "daemon: frr, protocol: rip"),
    Pair("frr-bird-ospf", "daemon: frr, protocol: ospf", "daemon: bird, protocol: ospf"),
    Pair("bird3-ospf", "daemon: bird3, protocol: ospf", "daemon: bird3, protocol: ospf"),
    Pair("bird3-rip", "daemon: bird3, protocol: rip", "daemon: bird3, protocol: rip"),
]
"""What is no question of OpenVPN's version any more."""


@pytest.mark.parametrize("pair", BOTH, ids=str, indirect=True)
def test_prefixes_cross_the_tunnel_and_go_again(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    expect_prefixes_come_and_go(lab, hq, branch)


@pytest.mark.topology("pair.clab.yml", openvpn="2.7")
@pytest.mark.parametrize("pair", ONE, ids=str, indirect=True)
def test_so_they_do_with_the_other_daemons(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    expect_prefixes_come_and_go(lab, hq, branch)


def expect_prefixes_come_and_go(lab: Lab, hq: Site, branch: Site) -> None:
    """In the RIB, in the kernel's FIB through tun, on the wire; the other way round; and the tunnel never notices."""
    before = lab.tunnel("branch", "hq").status()
    for here, there in ((hq, branch), (branch, hq)):
        there.router.expect_session(here.router)
        there.router.expect_route(here.router.plan.networks, via=there.device)
        for family in FAMILIES:
            there.host.expect_reaches(here.host.address(family))

        prefixes = [lab.free_prefix(family) for family in FAMILIES]
        there.router.expect_no_route(prefixes)
        announced = time.monotonic()
        with here.router.announced(prefixes):
            there.router.expect_route(prefixes, via=there.device, since=announced)
            for family, prefix in zip(FAMILIES, prefixes, strict=True):
                assert prefix in here.router.daemon.originated(here.router.running, family)
                with here.router.serving(prefix, here.host) as address:
                    there.host.expect_reaches(address)
        there.router.expect_no_route(prefixes, since=time.monotonic())
        assert not set(here.router.plan.networks) - {
            prefix for family in FAMILIES for prefix in here.router.daemon.originated(here.router.running, family)
        }
    after = lab.tunnel("branch", "hq").status()
    assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)
