"""Which outer packets carry the inner ones."""

import pytest
from scapy.layers.inet import IP, UDP

from lab.catalogue import load
from lab.observe.capture import CapturedPacket
from lab.why.crossing import carriers, outer


@pytest.mark.parametrize(
    ("sizes", "transport", "carrying"),
    [
        ((390, 390, 390), "udp", (390, 390, 390)),
        ((390, 361, 390, 412, 390), "udp", (390, 390, 390)),
        ((390, 390), "udp", (390, 390)),
        ((390, 361), "udp", ()),
        ((1300, 196, 1300, 196, 1300, 196), "udp", (1300, 196, 1300, 196, 1300, 196)),
        ((1100,), "tcp", (1100,)),
        ((385, 385, 385), "tcp", (385, 385, 385)),
        ((410,), "tcp", ()),
        ((), "udp", ()),
        ((), "tcp", ()),
    ],
)
def test_packets_of_one_size_make_outer_packets_of_one_size(
    sizes: tuple[int, ...], transport: str, carrying: tuple[int, ...]
) -> None:
    assert carriers(sizes, 333, transport) == carrying


@pytest.mark.parametrize("outgoing", [True, False])
def test_packets_between_the_server_and_its_other_clients_are_not_the_tunnels(outgoing: bool) -> None:
    """Two packets of BGP to another spoke once counted as the ones that were sent into the tunnel."""
    tunnel, other = load("dco-hub").tunnels[:2]
    assert tunnel.port == other.port
    at_server = IP(src=str(tunnel.server_outer), dst=str(tunnel.client_outer))
    to_other = IP(src=str(tunnel.server_outer), dst=str(other.client_outer))
    translated = IP(src=str(tunnel.server_outer), dst="203.0.113.77")
    if not outgoing:
        for packet in (at_server, to_other, translated):
            packet.src, packet.dst = packet.dst, packet.src
    header = UDP(sport=tunnel.port, dport=tunnel.port)
    seen = [
        CapturedPacket(0.0, outgoing, bytes(packet / header / (b"x" * size)), 101, "eth1")
        for packet, size in ((at_server, 352), (to_other, 362), (translated, 372))
    ]
    assert outer(seen, tunnel, 333, {other.client_at.outer}, outgoing=outgoing) == (380, 400)
    assert outer(seen, tunnel, 333, set(), outgoing=outgoing) == (380, 390, 400)
