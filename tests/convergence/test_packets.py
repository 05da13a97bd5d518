"""Packets inside the tunnel and on the transit link."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from lab.topology import Family
from tests.helpers.packets import MARK, carries_request, echo_request, is_housekeeping
from tests.helpers.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.convergence, pytest.mark.topology("article")]


def test_packet_inside_tun_is_the_packet_sent(family: Family, direction: tuple[Site, Site]) -> None:
    here, there = direction
    request = echo_request(here.host.address(family), there.host.address(family))
    arrives_at = there.host.interface_to(there.router).interface
    with (
        here.router.capture(here.device) as into_tunnel,
        there.router.capture(there.device) as out_of_tunnel,
        there.host.capture(arrives_at) as at_host,
    ):
        here.host.send(request)
        sent = into_tunnel.expect("the request", carries_request)
        received = out_of_tunnel.expect("the request", carries_request)
        arrived = at_host.expect("the request", carries_request)

    assert sent.outgoing
    assert not received.outgoing
    assert received.data == sent.data, "the tunnel changed the packet"
    # Each of the two routers decremented the TTL, and changed nothing else.
    assert sent.data == bytes(after_hops(request, 1))
    assert bytes(arrived.decode().payload) == bytes(after_hops(request, 2))


def after_hops(packet: Packet, hops: int) -> Packet:
    packet = packet.copy()
    if IP in packet:
        packet[IP].ttl -= hops
    else:
        packet[IPv6].hlim -= hops
    return packet


def test_transit_link_carries_only_the_tunnel(lab: Lab, hq: Site, branch: Site) -> None:
    """Only TCP segments of the tunnel, without inner addresses or content in clear."""
    tunnel = lab.tunnel("branch", "hq").tunnel
    transit = lab.node("transit")
    outer = {hq.router.address("ipv4"), branch.router.address("ipv4")}
    inner = [site.host.address(family) for site in (hq, branch) for family in FAMILIES]
    secrets = [MARK, *(address.packed for address in inner)]
    with transit.capture("eth1") as left, transit.capture("eth2") as right:
        for family in FAMILIES:
            with branch.host.capture("eth1") as at_host:
                hq.host.send(echo_request(hq.host.address(family), branch.host.address(family)))
                at_host.expect("the request", carries_request)

    for capture in (left, right):
        tunnelled = 0
        for packet in capture.packets:
            frame = packet.decode()
            assert not any(secret in packet.data for secret in secrets), f"in clear: {frame.summary()}"
            if is_housekeeping(frame):
                continue
            assert TCP in frame, f"not the tunnel's: {frame.summary()}"
            assert {frame[IP].src, frame[IP].dst} == {str(address) for address in outer}
            assert tunnel.port in (frame[TCP].sport, frame[TCP].dport)
            tunnelled += 1
        assert tunnelled > 0, "the capture saw nothing at all"


def test_capture_of_a_plain_link_sees_clear_text(lab: Lab, hq: Site) -> None:
    """The control of the test above: the same capture and text on a link inside a site."""
    source, destination = hq.host.address("ipv4"), hq.router.interface_to("transit").ipv4
    assert destination is not None
    with hq.router.capture(hq.router.interface_to(hq.host).interface) as capture:
        hq.host.send(echo_request(source, destination.ip))
        packet = capture.expect("the request", carries_request)
    assert source.packed in packet.data
    assert not is_housekeeping(packet.decode())


def test_inner_packet_of_1500_bytes_passes_unfragmented(family: Family, direction: tuple[Site, Site]) -> None:
    here, there = direction
    result = here.host.expect_reaches(there.host.address(family), packet_size=1500)
    assert result.answered
    too_long = here.host.echo(there.host.address(family), packet_size=1501)
    assert too_long.silent, "1501 bytes cannot pass an MTU of 1500: the probe does not set DF"
    assert too_long.refused
