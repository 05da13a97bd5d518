"""Failures without the lab's defaults and checks, shown by packets, each with its control."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_RA, IPv6
from scapy.packet import Raw

from lab.claims.claims import Claim
from lab.core.expect import Expectation, wait_for
from lab.observe import CapturedPacket
from lab.routing import AdjacencyState, Neighbor
from lab.routing.bird.control import Control
from lab.routing.frr.vty import Vty
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.topology import Prefix
from lab.tunnel import RunningTunnel
from tests.helpers.article import expect_log
from tests.helpers.pairs import Pair
from tests.helpers.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.variants, pytest.mark.topology("pair.clab.yml", openvpn="2.7")]

MARK = b"the packet of the test"
RECURSIVE = "Recursive routing detected"

# Each daemon filters in each protocol, at both ends in the same way.
FILTERED = [
    Pair("bgp-frr", "daemon: bird, asn: 65001", "daemon: frr, asn: 65002"),
    Pair("bgp-bird", "daemon: frr, asn: 65001", "daemon: bird, asn: 65002"),
    Pair("ospf", "daemon: bird, protocol: ospf", "daemon: frr, protocol: ospf"),
    Pair("rip", "daemon: frr, protocol: rip", "daemon: bird, protocol: rip"),
]
ALL = {"ipv4": ip_network("0.0.0.0/0"), "ipv6": ip_network("::/0")}
over_ipv6 = pytest.mark.topology("pair.clab.yml", openvpn="2.7", tunnel={"outer": "ipv6"})
# With an IPv6 underlay, and the daemons swapped.
FILTERED_IPV6 = [
    pytest.param(
        Pair(f"{pair.name}-over-ipv6", *swapped),
        marks=[over_ipv6] + [pytest.mark.thorough] * (not pair.name.startswith("bgp")),
    )
    for pair in FILTERED
    for swapped in [(pair.branch.replace("65002", "65001"), pair.hq.replace("65001", "65002"))]
]
UNFILTERED = [
    Pair(pair.name, f"{pair.hq}, recursion-filter: false", f"{pair.branch}, recursion-filter: false")
    for pair in FILTERED
]


def outer(lab: Lab) -> tuple[Prefix, Prefix]:
    """Return a prefix that covers the tunnel's server, and one that covers its client; longer than that of their link.

    They are not host routes, because FRR's OSPF originates none for an address of the router.
    """
    tunnel = lab.tunnel("branch", "hq").tunnel
    server, client = (
        ip_network(f"{address}/{address.max_prefixlen - 1}", strict=False)
        for address in (tunnel.server_outer, tunnel.client_outer)
    )
    return server, client


@pytest.mark.parametrize("pair", [*FILTERED, *FILTERED_IPV6], ids=str, indirect=True)
def test_route_that_covers_an_outer_address_is_rejected(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq")
    family = tunnel.tunnel.outer
    before, size = tunnel.status(), tunnel.client.log_size()
    for (here, there), covering in zip(((hq, branch), (branch, hq)), outer(lab), strict=True):
        other = lab.free_prefix(family)
        with here.router.announced([covering, ALL[family], other]):
            there.router.expect_route(
                other, via=there.device
            )  # announced together, so that the others have arrived as well
            there.router.expect_not_in_fib([covering, ALL[family]])
            there.host.expect_reaches(here.host.address(family))
        there.router.expect_no_route(other)
    after = tunnel.status()
    assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)
    assert not tunnel.client.log_lines(RECURSIVE, since=size)


@pytest.mark.parametrize(
    "pair",
    # The protocol of the route does not matter to OpenVPN.
    [*UNFILTERED[1:2], *(pytest.param(pair, marks=pytest.mark.thorough) for pair in UNFILTERED[2:])],
    ids=str,
    indirect=True,
)
def test_packets_of_the_tunnel_enter_it_without_the_filter(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq")
    server, client = outer(lab)
    size = tunnel.client.log_size()
    with hq.router.announced(server):  # the client drops its own packets and logs it
        assert expect_log(tunnel.client, RECURSIVE, size)
    expect_recovery(hq, branch, server)
    with hq.router.capture(hq.device) as inside, branch.router.announced(client):
        inside.expect("the tunnel's own packet in the tunnel", lambda packet: is_own(packet, lab))
    expect_recovery(branch, hq, client)


@pytest.mark.topology("pair.clab.yml")
@pytest.mark.parametrize("pair", UNFILTERED[:1], ids=str, indirect=True)
@pytest.mark.claims("OpenVPN drops its own packets that a route sends into the tunnel (`Recursive routing detected`)")
def test_openvpn_detects_recursive_routing(lab: Lab, pair: Pair, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    server, client = outer(lab)
    size = tunnel.client.log_size()
    with hq.router.announced(server):
        claim.log_line(tunnel.client, expect_log(tunnel.client, RECURSIVE, size))
    expect_recovery(hq, branch, server)
    size = tunnel.server.log_size()
    with hq.router.capture(hq.device) as inside, branch.router.announced(client):
        claim.packet(inside, inside.expect("the server's own packet", lambda packet: is_own(packet, lab)))
        # It contains the previous packet: the packet is encrypted again until it is too long.
        what = "the packet in itself"
        inside.expect(what, lambda packet: len(packet.data) > 1200 and is_own(packet, lab), within=300)
    expect_recovery(branch, hq, client)
    assert not tunnel.server.log_lines(RECURSIVE, since=size)
    claim.holds_if("at a client; a process in `mode server` encrypts them repeatedly, and logs nothing")


def expect_recovery(announcing: Site, receiving: Site, withdrawn: Prefix) -> None:
    receiving.router.expect_no_route(withdrawn, since=time.monotonic())
    receiving.router.expect_session(announcing.router)
    receiving.router.expect_route(announcing.router.plan.networks, via=receiving.device)
    receiving.host.expect_reaches(announcing.host.address("ipv4"))


def is_own(packet: CapturedPacket, lab: Lab) -> bool:
    """Return whether a packet routed into the server's device is the server's own, to its client's outer address."""
    tunnel = lab.tunnel("branch", "hq").tunnel
    frame = packet.decode()
    if not packet.outgoing or IP not in frame or UDP not in frame:
        return False
    return (frame[IP].dst, frame[UDP].sport) == (str(tunnel.client_outer), tunnel.port)


OSPF = Pair("frr-ospf", "protocol: ospf", "protocol: ospf")


@pytest.mark.parametrize("pair", [OSPF], ids=str, indirect=True)
def test_link_local_packets_are_dropped_without_the_ipv6_iroute(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    """The reason why the topology reader refuses OSPF, RIP and unnumbered BGP over such a tunnel."""
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(iroute=("ipv4",)):
        lab.tunnel("branch", "hq").client.wait_connected()
        with hq.router.capture(hq.device) as arriving, branch.router.capture(branch.device) as leaving:
            for _ in range(3):
                leaving.expect("an OSPFv3 hello", lambda packet: packet.outgoing and is_sent_to(packet, "ff02::5"))
            # OSPFv2 sends from the tunnel's addresses, which are in the inner table.
            arriving.expect("an OSPFv2 hello", lambda packet: not packet.outgoing and is_sent_to(packet, "224.0.0.5"))
        assert not [p for p in arriving.packets if not p.outgoing and is_sent_to(p, "ff02::5")]
        hq.router.expect_no_route([p for p in branch.router.plan.networks if p.version == 6])
        hq.router.expect_route([p for p in branch.router.plan.networks if p.version == 4], via=hq.device)
        assert AdjacencyState.FULL not in {n.state for n in hq.router.neighbors() if n.address is None}
    with hq.router.capture(hq.device) as arriving:
        arriving.expect("an OSPFv3 hello", lambda packet: not packet.outgoing and is_sent_to(packet, "ff02::5"))
    for here, there in ((hq, branch), (branch, hq)):
        here.router.expect_session(there.router)
        here.router.expect_route(there.router.plan.networks, via=here.device)


@pytest.mark.topology("hub.clab.yml", openvpn="2.7", tunnel={"mode": "shared-iroute"})
def test_shared_server_passes_link_local_packets_of_the_last_client_only(lab: Lab) -> None:
    """The reason why OSPF, RIP and unnumbered BGP are refused there. Each client is the control of the other."""
    one, other = lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")
    for first, last in ((one, other), (other, one)):
        last.client.stop()
        last.client.start()
        last.wait_connected()
        assert arrivals(lab, first) == {str(first.tunnel.client_ipv6.ip)}
        assert arrivals(lab, last) == {LINK_LOCAL, str(last.tunnel.client_ipv6.ip)}
    lab.wait_ready()


@pytest.mark.topology("fixed-routes", openvpn="2.7")
def test_fixed_routes_drop_link_local_packets_unless_they_include_all_of_ipv6(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    known = str(tunnel.tunnel.client_ipv6.ip)
    assert arrivals(lab, tunnel) == {known}
    with tunnel.configured(iroute=("ipv6",)):
        assert arrivals(lab, tunnel) == {LINK_LOCAL, known}
    assert arrivals(lab, tunnel) == {known}


LINK_LOCAL = "fe80::5eed"


def arrivals(lab: Lab, tunnel: RunningTunnel) -> set[str]:
    """Return the sources of packets to a multicast group that reach the server: a link-local and a tunnel address."""
    server, client = lab.node(tunnel.tunnel.server), lab.node(tunnel.tunnel.client)
    known = str(tunnel.tunnel.client_ipv6.ip)
    # A device that was just made has no usable IPv6 address yet.
    client.expect_reaches(tunnel.tunnel.server_ipv6.ip)
    with server.capture(tunnel.device(server.name)) as arriving:
        # Sent in order: once the second has arrived, the first cannot arrive any more.
        for source in (LINK_LOCAL, known):
            client.send(IPv6(src=source, dst="ff02::5", hlim=1) / Raw(MARK), tunnel.device(client.name))
        arriving.expect("the packet from the tunnel's address", lambda packet: arrives(packet, known))
    return {source for source in (LINK_LOCAL, known) if any(arrives(packet, source) for packet in arriving.packets)}


@pytest.mark.topology("hub.clab.yml", openvpn="2.7")
def test_one_of_two_unnumbered_neighbours_on_an_interface_gets_a_session(lab: Lab) -> None:
    """The reason why unnumbered BGP with several clients is refused: a session is named after its interface."""
    hub, one, other = (lab.router(name) for name in ("hub", "spoke1", "spoke2"))
    for router in (hub, one):
        configure(router, *UNNUMBERED)
    # The control: two of them establish a session.
    for router in (hub, one):
        expect_unnumbered(router)

    with one.capture("tap0") as first, other.capture("tap0") as second:
        configure(other, *UNNUMBERED)
        wait_for(
            Expectation(
                what="one of the spokes to try to connect four times",
                node="hub",
                look=lambda: [len([p for p in seen.packets if p.outgoing and connects(p)]) for seen in (first, second)],
                met=lambda attempts: max(attempts) >= 4,
            ),
            within=60,
        )
    assert len([neighbor for neighbor in hub.neighbors() if neighbor.interface == "tap0"]) == 1
    assert len([spoke for spoke in (one, other) if unnumbered_sessions(spoke)]) <= 1
    for spoke in (one, other):
        hub.expect_session(spoke)  # the numbered sessions are not affected

    configure(other, "no neighbor tap0 interface")
    for router in (hub, one):
        expect_unnumbered(router)
    for router in (hub, one):
        configure(router, "no neighbor tap0 interface")
    lab.wait_ready()


UNNUMBERED = (
    "neighbor tap0 interface v6only remote-as external",
    "neighbor tap0 timers connect 1",
    "address-family ipv6 unicast",
    "neighbor tap0 activate",
    "exit-address-family",
)


def configure(router: Router, *lines: str) -> None:
    with Vty(router.running.root, "bgpd") as bgpd:
        bgpd.configure([f"router bgp {router.plan.asn}", *lines])


def unnumbered_sessions(router: Router) -> list[Neighbor]:
    return [neighbor for neighbor in router.neighbors() if neighbor.interface == "tap0" and neighbor.up]


def expect_unnumbered(router: Router) -> None:
    wait_for(
        Expectation(
            what="the unnumbered session to be up",
            node=router.name,
            look=lambda: unnumbered_sessions(router),
            met=bool,
        ),
        within=60,
    )


BIRDS = [
    Pair("bird", "daemon: bird, asn: 65001", "daemon: bird, asn: 65002"),
    Pair("bird3", "daemon: bird3, asn: 65001", "daemon: bird3, asn: 65002"),
]


@pytest.mark.parametrize("pair", [BIRDS[0], pytest.param(BIRDS[1], marks=pytest.mark.thorough)], ids=str, indirect=True)
def test_two_birds_without_addresses_wait_for_each_other(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    """The reason why unnumbered BGP between two BIRDs is refused; with the other's current address, one connects."""
    sites = (hq, branch)
    with ExitStack() as changed:
        for site in sites:
            changed.enter_context(unnumbered(site))
        with hq.router.capture(hq.device) as link:
            # Both send router advertisements.
            link.expect("its own router advertisement", lambda packet: packet.outgoing and advertises(packet))
            link.expect("the other's router advertisement", lambda packet: not packet.outgoing and advertises(packet))
            for site in sites:
                assert "Passive" in bird(site, "show protocols"), "it does not wait for a connection"
        assert not [packet for packet in link.packets if connects(packet)]
        assert not any(neighbor.up for site in sites for neighbor in site.router.neighbors())

        address = re.search(
            r"fe80::\S+(?=/64)", branch.router.exec("ip", "-br", "address", "show", branch.device).stdout
        )
        assert address is not None
        with unnumbered(hq, address[0]):
            for site in sites:
                wait_for(
                    Expectation(
                        what="the session to be up",
                        node=site.router.name,
                        look=site.router.neighbors,
                        met=lambda found: any(n.up for n in found),
                    ),
                    within=30,
                )
            for here, there in (sites, sites[::-1]):
                here.router.expect_route(there.router.plan.networks, via=here.device)
    for here, there in (sites, sites[::-1]):
        here.router.expect_session(there.router)


@contextmanager
def unnumbered(site: Site, address: str | None = None) -> Iterator[None]:
    """Configure BIRD for link-local addresses, which the reader refuses; with `address` it connects to it."""
    plan = site.router.plan
    peers = tuple(replace(peer, address=ip_address(address) if address else None) for peer in plan.peers)
    (rendered,) = (
        file for file in site.router.daemon.render(replace(plan, peers=peers)) if file.path.name == "bird.conf"
    )
    text = rendered.content
    if address:
        text = text.replace("  ipv4 {\n    import", "  ipv4 {\n    extended next hop;\n    import")
    file = site.router.running.files / "etc/bird/bird.conf"
    before = file.read_text()
    file.write_text(text)
    bird(site, "configure")
    try:
        yield
    finally:
        file.write_text(before)
        bird(site, "configure")


def bird(site: Site, command: str) -> str:
    with Control(site.router.running.root) as control:
        return "\n".join(line.text for line in control.ask(command))


def advertises(packet: CapturedPacket) -> bool:
    return ICMPv6ND_RA in packet.decode()


def connects(packet: CapturedPacket) -> bool:
    """Return whether a packet opens a BGP connection over IPv6."""
    decoded = packet.decode()
    return IPv6 in decoded and TCP in decoded and decoded[TCP].dport == 179 and "A" not in decoded[TCP].flags


def arrives(packet: CapturedPacket, source: str) -> bool:
    """Return whether a packet is one of the test's, received from an address."""
    decoded = packet.decode()
    return not packet.outgoing and MARK in packet.data and decoded[IPv6].src == source


def is_sent_to(packet: CapturedPacket, group: str) -> bool:
    """Return whether a packet is sent to a multicast group."""
    return ip_address(group).packed in packet.data
