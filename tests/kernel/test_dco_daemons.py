"""Every BGP daemon over DCO: prefixes of both families appear and disappear, and packets pass."""

import pytest

from lab.runtime.lab import Lab
from tests.helpers.dco import expect_kernel
from tests.helpers.pairs import Pair, pair
from tests.helpers.tunnels import ends, expect_lans_reach_each_other, expect_prefixes_come_and_go

__all__ = ["pair"]

pytestmark = [
    pytest.mark.docker,
    pytest.mark.variants,
    pytest.mark.needs_kernel("ovpn"),
    pytest.mark.topology("../daemons/pair.clab.yml", openvpn="2.7", tunnel={"mode": "dco"}),
]

USUALLY = Pair("frr-bird", "daemon: frr, asn: 65001", "daemon: bird, asn: 65002")
PAIRS = [
    Pair("bird", "daemon: bird, asn: 65001", "daemon: bird, asn: 65002"),
    Pair("bird3", "daemon: bird3, asn: 65001", "daemon: bird3, asn: 65002"),
    Pair("ibgp", "daemon: frr, asn: 65001", "daemon: frr, asn: 65001"),
    Pair("per-family", *(f"daemon: frr, asn: {n}, sessions: per-family" for n in (65001, 65002))),
]
CASES = [USUALLY, *(pytest.param(pair, marks=pytest.mark.thorough) for pair in PAIRS)]


@pytest.mark.parametrize("pair", CASES, ids=str, indirect=True)
def test_prefixes_cross_a_dco_tunnel(lab: Lab, pair: Pair) -> None:
    expect_kernel(lab)
    hq, branch = ends(lab, lab.tunnel("branch", "hq"))
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
