"""A hub with DCO: one process serves all clients, without `iroute`; BGP decides the next hop."""

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from lab.claims.claims import Claim
from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from lab.topology import Family
from tests.helpers.dco import RATE, expect_kernel, spokes
from tests.helpers.sites import Site
from tests.helpers.tunnels import expect_lans_reach_each_other, expect_prefixes_come_and_go, session_of, site

pytestmark = [pytest.mark.docker, pytest.mark.variants, pytest.mark.needs_kernel("ovpn")]
hub_of_two = pytest.mark.topology("dco-hub", openvpn="2.7")

MARK = b"whoever reads this has got the packet"


@pytest.fixture
def hub(lab: Lab) -> Site:
    return site(lab, lab.tunnel("spoke1", "hub"), "hub")


@pytest.mark.thorough
@pytest.mark.topology("dco-hub", openvpn="2.7", tunnel={"transport": "tcp"})
def test_dco_over_tcp(lab: Lab, hub: Site) -> None:
    """Only in the whole matrix: test_far_away covers TCP with a pair of routers."""
    expect_kernel(lab)
    one, other = spokes(lab)
    for here, there in ((hub, one), (one, other)):
        expect_lans_reach_each_other(here, there)
    expect_prefixes_come_and_go(lab, one, other)


@pytest.mark.topology("eight-spokes.clab.yml", openvpn="2.7")
def test_one_process_serves_eight_clients(lab: Lab) -> None:
    """One node has a link in each LAN, and sends from each."""
    expect_kernel(lab)
    assert len({tunnel.status().server_pid for tunnel in lab.tunnels.values()}) == 1
    hub, names = lab.router("hub"), [f"spoke{number}" for number in range(1, 9)]
    for number, name in enumerate(names, 1):
        hub.expect_session(name)
        spoke = lab.router(name)
        others = [prefix for other in names if other != name for prefix in lab.router(other).plan.networks]
        spoke.expect_route([*others, *hub.plan.networks], via="tun0", within=60)
        following = lab.router(names[number % 8])
        for family in FAMILIES:
            lan = following.interface_to("lans")
            address = lan.ipv4 if family == "ipv4" else lan.ipv6
            assert address is not None
            spoke.expect_reaches(address.ip)


@hub_of_two
@pytest.mark.claims("one server process serves many clients, without `iroute`, where the kernel carries the data (DCO)")
def test_one_process_serves_all_without_iroute(lab: Lab, hub: Site, claim: Claim) -> None:
    expect_kernel(lab)
    one, other = spokes(lab)
    servers = {tunnel.status().server_pid for tunnel in lab.tunnels.values()}
    assert len(servers) == 1
    etc = hub.router.running.files / "etc/openvpn"
    lines = [line for path in etc.rglob("*") if path.is_file() for line in path.read_text().splitlines()]
    assert not [line for line in lines if line.startswith("iroute")]
    for here, there in ((hub, one), (hub, other), (one, other)):
        expect_lans_reach_each_other(here, there)
        expect_prefixes_come_and_go(lab, here, there)
    claim.rib_entry(hub.router, one.router.plan.networks[0])
    claim.echo(one.host.expect_reaches(other.host.address("ipv6")))
    claim.holds()


@hub_of_two
def test_leaving_spoke_does_not_disturb_the_others(lab: Lab, hub: Site) -> None:
    leaving, staying = lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")
    gone, stays = spokes(lab)
    before = session_of(staying.status())
    established = hub.router.neighbor("spoke2").times_established
    leaving.client.stop()
    try:
        hub.router.expect_no_route(gone.router.plan.networks)
        stays.router.expect_no_route(gone.router.plan.networks)
        expect_lans_reach_each_other(hub, stays)
        expect_prefixes_come_and_go(lab, hub, stays)
    finally:
        leaving.start()
    lab.wait_ready()
    expect_lans_reach_each_other(gone, stays)
    assert session_of(staying.status()) == before
    assert hub.router.neighbor("spoke2").times_established == established


@hub_of_two
def test_moved_prefix_follows_bgp(lab: Lab, hub: Site, family: Family) -> None:
    """A prefix moves from spoke 1 to spoke 2, and the kernel then selects the other peer."""
    first, then = spokes(lab)
    prefix = lab.free_prefix(family)
    with first.router.serving(prefix, first.host) as address, then.router.serving(prefix, then.host):
        first.router.announce(prefix)
        hub.router.expect_route(prefix, via=hub.device)
        hub.host.expect_reaches(address)
        before = hub.router.fib.route(prefix)
        with lab.measure("hub", prefix, probe_from="hub-lan", probe_to="spoke2-lan", until="moves", rate=RATE) as moved:
            then.router.announce(prefix)
            first.router.withdraw(prefix)
        try:
            after = hub.router.fib.route(prefix)
            assert before is not None
            assert after is not None
            assert before.next_hops != after.next_hops
            assert moved.data_plane is not None
            assert moved.at("fib") > 0, moved.reason
            hub.host.expect_reaches(address)
        finally:
            then.router.withdraw(prefix)
    hub.router.expect_no_route(prefix)


@hub_of_two
def test_second_spoke_takes_over_a_prefix(lab: Lab, hub: Site, family: Family) -> None:
    one, other = spokes(lab)
    prefix = lab.free_prefix(family)
    with one.router.serving(prefix, one.host) as address, other.router.serving(prefix, other.host):
        one.router.announce(prefix)
        hub.router.expect_route(prefix, via=hub.device)
        other.router.announce(prefix)
        before = hub.router.fib.route(prefix)
        hub.host.expect_reaches(address)
        with lab.measure("hub", prefix, probe_from="hub-lan", probe_to="spoke2-lan", until="moves", rate=RATE) as moved:
            gone = lab.fault("blackhole", tunnel="spoke1-hub")
        try:
            after = hub.router.fib.route(prefix)
            assert before is not None
            assert after is not None
            assert before.next_hops != after.next_hops
            assert moved.data_plane is not None
            assert moved.data_plane.lost > 0, "packets must be lost until BGP notices"
            hub.host.expect_reaches(address)
        finally:
            gone.undo()
        lab.wait_ready()
        for router in (one.router, other.router):
            router.withdraw(prefix)
    hub.router.expect_no_route(prefix)


@hub_of_two
def test_multicast_does_not_pass(lab: Lab) -> None:
    """Therefore OSPF, RIP and unnumbered BGP are refused: the kernel needs the peer of each packet."""
    hub, spoke, tunnel = lab.node("hub"), lab.node("spoke1"), lab.tunnel("spoke1", "hub").tunnel
    for groups, here, there in (
        (("224.0.0.5", "224.0.0.9"), tunnel.server_ipv4.ip, tunnel.client_ipv4.ip),
        (("ff02::5", "ff02::9", "ff02::1"), tunnel.server_ipv6.ip, tunnel.client_ipv6.ip),
    ):
        header = IP if here.version == 4 else IPv6
        with spoke.capture(tunnel.device) as arriving:
            # In order: after the last has arrived, the first can no longer arrive.
            for destination in (*groups, str(there)):
                hub.send(header(src=str(here), dst=destination) / Raw(MARK), tunnel.server_device)
            arriving.expect("the packet to its own address", lambda packet: MARK in packet.data)
        # The spoke answers with an ICMP error that quotes the packet: ignore what it sends itself.
        marked = [packet.decode() for packet in arriving.packets if MARK in packet.data]
        assert [packet.dst for packet in marked if packet.src == str(here)] == [str(there)]
