"""Hops out of the places at which one packet was captured."""

import struct
from dataclasses import replace
from io import BytesIO
from ipaddress import ip_address

import pytest

from lab.observe import CapturedPacket
from lab.why.journey import Hop, journey
from lab.why.packet import UDP, Packet
from lab.why.pcapng import write_pcapng
from lab.why.probe import Probe, Sent, Sign
from lab.why.tracer import Traced
from lab.why.watch import Captured

ONE, OTHER = ip_address("10.1.0.10"), ip_address("10.2.0.10")
PACKET = Packet(ONE, OTHER, UDP, 40, 64, False, False, bytes(20))


def seen(node: str, interface: str, direction: str, time: float = 0.0, *, foreign: bool = False) -> Captured:
    raw = CapturedPacket(time, direction == "out", b"\x45data", 101, interface, foreign)
    return Captured(node, raw, PACKET)


def shown(hops: tuple[Hop, ...]) -> list[tuple[str, str, str]]:
    return [(h.node, h.arrived.interface if h.arrived else "", h.left.interface if h.left else "") for h in hops]


def test_path_over_a_router() -> None:
    sightings = [seen("a", "eth1", "out"), seen("r", "eth1", "in"), seen("r", "eth2", "out"), seen("b", "eth1", "in")]
    assert shown(journey(sightings)) == [("a", "", "eth1"), ("r", "eth1", "eth2"), ("b", "eth1", "")]
    assert shown(journey(sightings[:2])) == [("a", "", "eth1"), ("r", "eth1", "")]


def test_path_over_a_bridge_floods() -> None:
    sightings = [
        seen("a", "eth1", "out"),
        seen("s", "p1", "in", foreign=True),
        seen("s", "p2", "out"),
        seen("s", "p3", "out"),
        seen("c", "eth1", "in", foreign=True),
        seen("b", "eth1", "in"),
    ]
    assert shown(journey(sightings, {"s"})) == [("a", "", "eth1"), ("s", "p1", "p2"), ("b", "eth1", "")]


def test_path_in_a_circle() -> None:
    around = [seen("r", "eth1", "in"), seen("r", "eth2", "out"), seen("q", "eth1", "in"), seen("q", "eth1", "out")]
    assert [hop.node for hop in journey([*around, *around])] == ["r", "q", "r", "q"]


def traced(protocol: str = "icmp", **sent: object) -> Traced:
    sightings = [seen("a", "eth1", "out", 1_700_000_001.0), seen("b", "eth1", "in", 1_700_000_001.5)]
    signs = [(sightings[0], Sign(1, "request")), (sightings[1], Sign(1, "request"))]
    probe = Probe(OTHER, protocol, 9, count=2)  # type: ignore[arg-type]
    return Traced("a", "b", probe, Sent(b"token", **sent), sightings, signs)  # type: ignore[arg-type]


def test_echo_passes_if_it_is_answered() -> None:
    assert traced(answered={1}).passed == {1}
    assert traced(answered={1}).lost == [2]
    assert traced(answered={1}).shown == 2
    assert traced(answered={1, 2}).shown == 1
    assert traced(answered={1, 2}, errors={1: OSError()}).lost == [1]


@pytest.mark.parametrize(("answered", "passed"), [(set(), {1}), ({2}, {1, 2})])
def test_datagram_passes_if_it_arrives(answered: set[int], passed: set[int]) -> None:
    assert traced("udp", answered=answered).passed == passed


def test_datagram_that_is_refused_once_stands_for_all() -> None:
    found = traced("udp")
    refused = replace(found, signs=[*found.signs, (seen("a", "eth1", "in"), Sign(2, "error"))])
    assert refused.passed == frozenset()


def test_pcapng_has_a_comment_for_each_packet() -> None:
    stream = BytesIO()
    write_pcapng(stream, [traced()])
    data = stream.getvalue()
    blocks = []
    while data:
        kind, length = struct.unpack_from("=II", data)
        assert struct.unpack_from("=I", data, length - 4)[0] == length
        blocks.append((kind, data[8 : length - 4]))
        data = data[length:]
    assert [kind for kind, _ in blocks] == [0x0A0D0D0A, 1, 6, 1, 6]
    assert b"a:eth1" in blocks[1][1]
    assert b"a eth1 out; request 1" in blocks[2][1]
    assert b"b eth1 in; request 1" in blocks[4][1]
    interface, high, low, captured, original = struct.unpack_from("=IIIII", blocks[4][1])
    assert (interface, high << 32 | low, captured, original) == (1, 1_700_000_001_500_000_000, 5, 5)
