"""What goes wrong without the lab's defaults, on the wire, each with its control."""

import time
from ipaddress import ip_address, ip_network

import pytest

from lab.lab import Lab
from lab.observe import CapturedPacket
from lab.routing import AdjacencyState
from lab.topology import Prefix
from tests.convergence.checks import expect_log
from tests.daemons.conftest import Pair, Site

pytestmark = [pytest.mark.docker, pytest.mark.convergence, pytest.mark.topology("pair.clab.yml", openvpn="2.7")]

RECURSIVE = "Recursive routing detected"

FILTERED = [
    Pair("frr", "daemon: bird, asn: 65001", "daemon: frr, asn: 65002"),
    Pair("bird", "daemon: frr, asn: 65001", "daemon: bird, asn: 65002"),
]
UNFILTERED = [
    Pair("frr", "daemon: bird, asn: 65001", "daemon: frr, asn: 65002, recursion-filter: false"),
    Pair("bird", "daemon: frr, asn: 65001", "daemon: bird, asn: 65002, recursion-filter: false"),
]


def server(lab: Lab) -> Prefix:
    """The host route to the tunnel's server: the longest prefix that covers it."""
    return ip_network(lab.tunnel("branch", "hq").tunnel.server_outer)


@pytest.mark.parametrize("pair", FILTERED, ids=str, indirect=True)
def test_a_route_that_covers_the_server_is_not_taken(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before, size = tunnel.status(), tunnel.client.log_size()
    other = lab.free_prefix("ipv4")
    with hq.router.announced([server(lab), other]):
        branch.router.expect_route(other, via=branch.device)  # announced with it, so that one has been heard
        branch.router.expect_no_route(server(lab))
        branch.host.expect_reaches(hq.host.address("ipv4"))
    branch.router.expect_no_route(other)
    after = tunnel.status()
    assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)
    assert not tunnel.client.log_lines(RECURSIVE, since=size)


@pytest.mark.parametrize("pair", UNFILTERED, ids=str, indirect=True)
def test_without_the_filter_the_tunnel_is_led_into_itself(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    """OpenVPN drops its own packets and says so; with the route gone, all is well again."""
    tunnel = lab.tunnel("branch", "hq")
    size = tunnel.client.log_size()
    with hq.router.announced(server(lab)):
        assert expect_log(tunnel.client, RECURSIVE, size)
    withdrawn = time.monotonic()
    branch.router.expect_no_route(server(lab), since=withdrawn)
    branch.router.expect_session(hq.router)
    branch.router.expect_route(hq.router.plan.networks, via=branch.device)
    branch.host.expect_reaches(hq.host.address("ipv4"))


OSPF = Pair("frr-ospf", "protocol: ospf", "protocol: ospf")


@pytest.mark.parametrize("pair", [OSPF], ids=str, indirect=True)
def test_without_the_ipv6_iroute_link_local_packets_are_dropped(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    """Why OSPF (and RIP, and unnumbered BGP) over such a tunnel is refused when the topology is read."""
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(iroute=("ipv4",)):
        lab.tunnel("branch", "hq").client.wait_connected()
        with hq.router.capture(hq.device) as arriving, branch.router.capture(branch.device) as leaving:
            for _ in range(3):
                leaving.expect("an OSPFv3 hello", lambda packet: packet.outgoing and greets(packet, "ff02::5"))
            # OSPFv2 speaks from the tunnel's own addresses, which OpenVPN knows.
            arriving.expect("an OSPFv2 hello", lambda packet: not packet.outgoing and greets(packet, "224.0.0.5"))
        assert not [p for p in arriving.packets if not p.outgoing and greets(p, "ff02::5")]
        hq.router.expect_no_route([p for p in branch.router.plan.networks if p.version == 6])
        hq.router.expect_route([p for p in branch.router.plan.networks if p.version == 4], via=hq.device)
        assert AdjacencyState.FULL not in {n.state for n in hq.router.neighbors() if n.address is None}
    with hq.router.capture(hq.device) as arriving:
        arriving.expect("an OSPFv3 hello", lambda packet: not packet.outgoing and greets(packet, "ff02::5"))
    for here, there in ((hq, branch), (branch, hq)):
        here.router.expect_session(there.router)
        here.router.expect_route(there.router.plan.networks, via=here.device)


def greets(packet: CapturedPacket, group: str) -> bool:
    """Whether a packet goes to a multicast group."""
    return ip_address(group).packed in packet.data
