"""Reports of monitored daemons: bgpd's by BMP, BIRD's in its log."""

from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from lab.core.errors import EnvironmentBroken
from lab.routing import RibEvent
from lab.routing.bird.trace import events as traced
from lab.routing.frr.bmp import _events, _split
from tests.helpers.bgp_messages import ANNOUNCE4, ANNOUNCE6, KEEPALIVE, THREE4, WITHDRAW4

PEER = IPv4Address("10.255.0.1")
NOW = 7.0


def bmp(kind: int, peer: int, payload: bytes) -> bytes:
    """Return a BMP message about a peer (RFC 7854, section 4)."""
    body = bytes([peer, 0]) + bytes(8) + bytes(12) + PEER.packed + bytes(16) + payload
    return b"\x03" + (6 + len(body)).to_bytes(4, "big") + bytes([kind]) + body


LOC_RIB, GLOBAL = 3, 0
MONITORING, DOWN, UP, INITIATION = 0, 2, 3, 4


def reported(message: bytes) -> list[RibEvent]:
    return sorted(_events(message, THREE4, NOW), key=lambda event: str(event.prefix))


def test_bmp_reports_best_paths() -> None:
    assert reported(bmp(MONITORING, LOC_RIB, ANNOUNCE4)) == [
        RibEvent(NOW, "best", ip_network(f"10.128.{n}.0/24"), None) for n in range(3)
    ]
    assert {e.what for e in reported(bmp(MONITORING, LOC_RIB, WITHDRAW4))} == {"gone"}
    assert reported(bmp(MONITORING, LOC_RIB, ANNOUNCE6)) == [], "not among the monitored prefixes"
    assert reported(bmp(MONITORING, GLOBAL, ANNOUNCE4)) == [], "an Adj-RIB-In is not the Loc-RIB"


def test_bmp_reports_neighbours() -> None:
    assert reported(bmp(DOWN, GLOBAL, b"\x02")) == [RibEvent(NOW, "down", None, PEER)]
    assert reported(bmp(UP, GLOBAL, bytes(20) + KEEPALIVE)) == [RibEvent(NOW, "up", None, PEER)]
    assert reported(bmp(UP, LOC_RIB, bytes(20) + KEEPALIVE)) == [], "the Loc-RIB is not a neighbour"
    assert reported(b"\x03\0\0\0\x06\x04") == []


def test_bmp_messages_are_split_from_a_stream() -> None:
    messages = [bmp(MONITORING, LOC_RIB, ANNOUNCE4), bmp(DOWN, GLOBAL, b"\x02")]
    stream = b"".join(messages)
    for cut in range(len(stream)):
        first, left = _split(stream[:cut])
        second, rest = _split(left + stream[cut:])
        assert first + second == messages
        assert rest == b""
    with pytest.raises(EnvironmentBroken, match="BMP"):
        _split(b"HTTP/1.1 200 OK")


LOG = """\
2026-11-24 04:40:21.821581 <TRACE> peer1.ipv4 > added [best] 10.128.0.0/24 0L 6G unicast
2026-11-24 04:40:21.821583 <TRACE> kernel4.ipv4 < added 10.128.9.0/24 0L 6G unicast
2026-11-24 04:40:21.878081 <TRACE> peer1.ipv4 > removed [sole] 10.128.0.0/24 0L 6G unicast
2026-11-24 04:40:22.114898 <TRACE> peer1: Connection closed
2026-11-24 04:40:22.114898 <TRACE> peer1: State changed to stop
2026-11-24 04:40:22.114964 <TRACE> peer1: State changed to flush
2026-11-24 04:40:22.115026 <TRACE> peer1: State changed to down
2026-11-24 04:40:24.115026 <TRACE> peer1: State changed to up
2026-11-24 04:40:25.000001 [0001] <TRACE> kernel4.ipv4 < added 10.128.1.0/24 ptr 00007ffe9387c000 (2) src 0L 6G
2026-11-24 04:40:25.000002 [0002] <TRACE> peer1.ipv4 < idempotent withdraw (filtered) 10.128.1.0/24 ptr 0
2026-11-24 04:40:25.000003 [0001] <TRACE> kernel4.ipv4 < removed 10.128.1.0/24 ptr 00007f52c90340b8 (2) src 0L 6G
2026-11-24 04:40:26.000000 <TRACE> peer1: State changed to flush
"""


def test_events_are_read_from_birds_log() -> None:
    start = 1795495221_821581000
    found = traced(LOG, THREE4, {"peer1": ip_address("10.255.0.1")}, lambda real: (real - start) / 1e9)
    assert [(round(event.time, 6), event.what, str(event.prefix or event.peer)) for event in found] == [
        (0.0, "best", "10.128.0.0/24"),
        (0.0565, "gone", "10.128.0.0/24"),
        (0.293317, "down", "10.255.0.1"),
        (2.293445, "up", "10.255.0.1"),
        (3.17842, "best", "10.128.1.0/24"),
        (3.178422, "gone", "10.128.1.0/24"),
        (4.178419, "down", "10.255.0.1"),
    ]


def test_protocols_with_the_users_names_are_told_apart() -> None:
    log = LOG.replace("peer1", "uplink").replace("kernel4", "fib")
    names = {"uplink": ip_address("192.0.2.1"), "other": ip_address("192.0.2.2")}
    found = traced(log, THREE4, names, float, kernel=["fib"])
    assert [event.what for event in found] == ["best", "gone", "down", "up", "best", "gone", "down"]
    assert {str(event.peer) for event in found if event.peer} == {"192.0.2.1"}
    assert [event.what for event in traced(log, THREE4, {}, float, kernel=[])] == ["best", "gone"]
