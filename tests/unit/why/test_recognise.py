"""A probe's packets are recognised on every interface, also behind a NAT, and no others are."""

from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6

from lab.why.packet import Packet
from lab.why.probe import SMALLEST, Probe, Sent, Sign, payload, recognise

TO = ip_address("10.2.0.10")
SENT = Sent(b"8 bytes!", ports={1: 40001, 2: 40002})


def sign(probe: Probe, packet: object, starts: dict[int, int] | None = None) -> Sign | None:
    parsed = Packet.parse(bytes(packet))  # type: ignore[call-overload]
    assert parsed is not None
    return recognise(probe, SENT, {} if starts is None else starts, parsed)


def test_echo_request_and_reply() -> None:
    data = payload(SENT, 2, 56)
    probe = Probe(TO)
    assert len(data) == 56
    assert sign(probe, IP() / ICMP(type=8) / data) == Sign(2, "request")
    assert sign(probe, IP(src="203.0.113.9") / ICMP(type=8, id=5) / data) == Sign(2, "request")
    assert sign(probe, IP() / ICMP(type=0) / data) == Sign(2, "reply")
    assert sign(probe, IPv6() / ICMPv6EchoRequest(data=data)) == Sign(2, "request")
    assert sign(probe, IPv6() / ICMPv6EchoReply(data=data)) == Sign(2, "reply")
    assert sign(probe, IP() / ICMP(type=8) / b"another ping".ljust(56)) is None
    assert sign(probe, IP() / UDP() / data) is None


def test_icmp_message_about_a_packet() -> None:
    quoted = IP() / ICMP(type=8) / payload(SENT, 1, 56)
    assert sign(Probe(TO), IP() / ICMP(type=3, code=1) / quoted) == Sign(1, "error")
    assert sign(Probe(TO), IP() / ICMP(type=3, code=1) / IP() / UDP()) is None


def test_datagram_and_its_answer() -> None:
    probe = Probe(TO, "udp", 53)
    assert sign(probe, IP() / UDP(sport=40001, dport=53) / payload(SENT, 1, 20)) == Sign(1, "request")
    assert sign(probe, IP() / UDP(sport=1, dport=53) / payload(SENT, 1, 20)) == Sign(1, "request")  # behind a NAT
    assert sign(probe, IP() / UDP(sport=53, dport=40002) / b"an answer") == Sign(2, "reply")
    assert sign(probe, IP() / UDP(sport=53, dport=40001) / payload(SENT, 1, 20)) == Sign(1, "reply")  # an echo
    assert sign(probe, IP() / UDP(sport=53, dport=40009) / b"an answer") is None


@pytest.mark.parametrize("protocol", ["tcp", "syn"])
def test_connection_by_its_initial_sequence_number(protocol: str) -> None:
    probe = Probe(TO, protocol, 179)  # type: ignore[arg-type]
    starts: dict[int, int] = {}
    assert sign(probe, IP() / TCP(sport=40001, dport=179, seq=500, flags="S"), starts) == Sign(1, "request")
    assert sign(probe, IP() / TCP(sport=7, dport=179, seq=500, flags="S"), starts) == Sign(1, "request")  # a NAT
    assert sign(probe, IP() / TCP(sport=7, dport=179, seq=600, flags="S"), starts) is None
    assert sign(probe, IP() / TCP(sport=179, dport=40001, ack=501, flags="SA"), starts) == Sign(1, "reply")
    assert sign(probe, IP() / TCP(sport=179, dport=40001, ack=501, flags="RA"), starts) == Sign(1, "reply")
    assert sign(probe, IP() / TCP(sport=179, dport=40001, ack=502, flags="SA"), starts) is None
    assert sign(probe, IP() / TCP(sport=40001, dport=179, seq=501, flags="A"), starts) is None
    quoted = IP() / TCP(sport=40001, dport=179, seq=500, flags="S")
    assert sign(probe, IP() / ICMP(type=3, code=13) / quoted, starts) == Sign(1, "error")


def test_mark_fits_into_the_smallest_packet() -> None:
    assert len(payload(SENT, 1, 0)) == SMALLEST - 8
    assert str(Probe(TO, size=1400, df=True)) == "echo request of 1400 bytes with DF"
