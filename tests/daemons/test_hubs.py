"""A hub and its spokes: routes of each reach the others, over a shared TAP server and over separate tunnels."""

import pytest

from lab.runtime.lab import Lab
from tests.helpers.pairs import Trio
from tests.helpers.tunnels import expect_lans_reach_each_other, expect_prefixes_come_and_go, site

pytestmark = [pytest.mark.docker, pytest.mark.variants, pytest.mark.topology("hub.clab.yml", openvpn="2.7")]

ONE_SWITCH = [
    # A designated router, as on every segment with more than two (RFC 2328, section 9.4).
    Trio("ospf-frr-bird", "protocol: ospf", "protocol: ospf, daemon: bird", "protocol: ospf"),
    pytest.param(
        Trio("ospf-bird3-frr", "protocol: ospf, daemon: bird3", "protocol: ospf", "protocol: ospf, daemon: bird3"),
        marks=pytest.mark.thorough,
    ),
    Trio("rip-frr-bird", "protocol: rip", "protocol: rip, daemon: bird", "protocol: rip"),
    # Internal neighbours do not pass on routes from each other (RFC 4456): the hub reflects them.
    Trio("ibgp-frr-bird", "asn: 65000", "asn: 65000, daemon: bird", "asn: 65000, daemon: bird3"),
]
ONE_TUNNEL_EACH = [
    pytest.param(
        Trio("ibgp-bird-frr", "asn: 65000, daemon: bird", "asn: 65000", "asn: 65000, daemon: bird3"),
        marks=pytest.mark.thorough,
    ),
    Trio(
        "unnumbered",
        "asn: 65000, sessions: unnumbered",
        "asn: 65001, sessions: unnumbered",
        "asn: 65002, sessions: unnumbered",
    ),
]


@pytest.mark.parametrize("trio", ONE_SWITCH, ids=str, indirect=True)
def test_announced_prefixes_cross_a_shared_tap_server(lab: Lab, trio: Trio) -> None:
    expect_routes_everywhere(lab)


@pytest.mark.topology("hub.clab.yml", openvpn="2.7", tunnel={"mode": "iroute"})
@pytest.mark.parametrize("trio", ONE_TUNNEL_EACH, ids=str, indirect=True)
def test_announced_prefixes_cross_two_tunnels(lab: Lab, trio: Trio) -> None:
    expect_routes_everywhere(lab)


def expect_routes_everywhere(lab: Lab) -> None:
    """Expect routes between the hub and each spoke, and between the spokes, which have no session with each other."""
    one, other = lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")
    hub, (spoke1, spoke2) = site(lab, one, "hub"), (site(lab, t, t.tunnel.client) for t in (one, other))
    for spoke, tunnel in ((spoke1, one), (spoke2, other)):
        hub.router.expect_session(spoke.router)
        spoke.router.expect_session(hub.router)
        hub.router.expect_route(spoke.router.plan.networks, via=tunnel.device("hub"))
        spoke.router.expect_route(hub.router.plan.networks, via=spoke.device)
    spoke1.router.expect_route(spoke2.router.plan.networks, via=spoke1.device)
    spoke2.router.expect_route(spoke1.router.plan.networks, via=spoke2.device)
    expect_lans_reach_each_other(hub, spoke1)
    expect_lans_reach_each_other(spoke1, spoke2)
    expect_prefixes_come_and_go(lab, hub, spoke1)
    expect_prefixes_come_and_go(lab, spoke1, spoke2)
