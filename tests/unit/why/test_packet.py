"""The headers by which a packet is recognised."""

from ipaddress import ip_address

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop

from lab.why.packet import ACK, SYN, Packet


def parse(packet: object) -> Packet:
    found = Packet.parse(bytes(packet))  # type: ignore[call-overload]
    assert found is not None
    return found


def test_ipv4_datagram() -> None:
    packet = parse(IP(src="10.1.0.10", dst="10.2.0.10", ttl=7, flags="DF") / UDP(sport=40000, dport=53) / b"token")
    assert (packet.source, packet.destination) == (ip_address("10.1.0.10"), ip_address("10.2.0.10"))
    assert (packet.size, packet.hop_limit, packet.df, packet.fragment) == (33, 7, True, False)
    assert (packet.ports, packet.payload, packet.family) == ((40000, 53), b"token", "ipv4")
    assert packet.icmp is None


def test_padding_of_a_short_frame_is_no_payload() -> None:
    packet = Packet.parse(bytes(IP() / UDP() / b"a") + bytes(17))
    assert packet is not None
    assert packet.payload == b"a"


def test_later_fragment_has_no_ports() -> None:
    first = parse(IP(flags="MF") / UDP(sport=1, dport=2) / bytes(100))
    later = parse(IP(frag=13) / bytes(100))
    assert (first.fragment, first.ports) == (True, (1, 2))
    assert (later.fragment, later.ports, later.body) == (True, None, b"")


def test_tcp_segment() -> None:
    packet = parse(IP() / TCP(sport=9, dport=179, seq=77, ack=99, flags="SA", options=[("MSS", 1460)]) / b"data")
    assert packet.flags == SYN | ACK
    assert (packet.sequence, packet.acknowledged, packet.payload) == (77, 99, b"data")


def test_ipv6_behind_extension_headers() -> None:
    packet = parse(IPv6(hlim=3) / IPv6ExtHdrHopByHop() / ICMPv6EchoRequest(data=b"token"))
    assert (packet.icmp, packet.payload, packet.df, packet.hop_limit) == ((128, 0), b"token", True, 3)
    later = parse(IPv6() / IPv6ExtHdrFragment(offset=5, nh=58) / bytes(40))
    assert (later.fragment, later.icmp) == (True, None)


def test_icmp_error_quotes_the_packet() -> None:
    inside = IP(src="10.1.0.10", dst="10.2.0.10") / UDP(sport=5, dport=6) / b"token"
    packet = parse(IP() / ICMP(type=3, code=4, nexthopmtu=1400) / inside)
    assert packet.told_mtu == 1400
    assert packet.quoted is not None
    assert (packet.quoted.ports, packet.quoted.payload) == ((5, 6), b"token")
    too_big = parse(IPv6() / ICMPv6PacketTooBig(mtu=1280) / IPv6() / ICMPv6EchoRequest())
    assert too_big.told_mtu == 1280
    assert too_big.quoted is not None
    assert parse(IP() / ICMP(type=8) / inside).quoted is None
    assert parse(IP() / ICMP(type=3, code=1) / inside).told_mtu == 0


def test_other_data_is_no_packet() -> None:
    assert Packet.parse(b"") is None
    assert Packet.parse(b"\x45\x00") is None
    assert Packet.parse(bytes(64)) is None
