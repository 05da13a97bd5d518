"""Counting the prefixes in BGP messages."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.bgp import BGPNLRI_IPv4, BGPPAOrigin, BGPPathAttr, BGPUpdate

from lab.measure.scale.updates import KEEPALIVE, OPEN, UPDATE, Tally, message, open_message, tally

FOUR = ["10.0.0.0/8", "10.1.0.0/17", "10.1.2.3/32", "0.0.0.0/0"]
SIX = bytes([29, 0xFD, 0, 0, 0, 48, 0xFD, 0, 0, 1, 0, 0, 0])
"""fd00::/29, fd00:1::/48 and ::/0."""


def update(**fields: Any) -> bytes:
    return message(UPDATE, bytes(BGPUpdate(**fields)))


def with_attribute(kind: int, value: bytes, *, long: bool = False) -> bytes:
    head = struct.pack("!BBH", 0x90, kind, len(value)) if long else struct.pack("!BBB", 0x80, kind, len(value))
    return message(UPDATE, struct.pack("!HH", 0, len(head) + len(value)) + head + value)


def test_ipv4_prefixes_announced_and_withdrawn() -> None:
    stream = update(
        withdrawn_routes=[BGPNLRI_IPv4(prefix=p) for p in FOUR[1:]],
        path_attr=[BGPPathAttr(type_flags=0x40, type_code=1, attribute=BGPPAOrigin(origin=0))],
        nlri=[BGPNLRI_IPv4(prefix=p) for p in FOUR],
    )
    assert tally(stream) == (Tally(1, 4, 3), len(stream))


@pytest.mark.parametrize("long", [False, True])
def test_ipv6_prefixes_announced(long: bool) -> None:
    reach = struct.pack("!HBB", 2, 1, 16) + bytes(16) + b"\0" + SIX
    stream = with_attribute(14, reach, long=long)
    assert tally(stream) == (Tally(1, 3, 0), len(stream))


@pytest.mark.parametrize("long", [False, True])
def test_ipv6_prefixes_withdrawn(long: bool) -> None:
    stream = with_attribute(15, struct.pack("!HB", 2, 1) + SIX, long=long)
    assert tally(stream) == (Tally(1, 0, 3), len(stream))


def test_only_complete_updates_are_counted() -> None:
    whole = message(KEEPALIVE) + update(nlri=[BGPNLRI_IPv4(prefix=FOUR[1])]) + open_message(65003, b"\xc0\0\2\1")
    assert tally(whole + message(KEEPALIVE)[:18]) == (Tally(1, 1, 0), len(whole))


@given(st.lists(st.integers(1, 30), max_size=6), st.integers(0, 400))
def test_stream_may_be_split_anywhere(sizes: list[int], cut: int) -> None:
    body = b"".join(message(UPDATE, struct.pack("!HH", 0, 0) + bytes([24, 10, 1, n]) * n) for n in sizes)
    first, used = tally(body[:cut])
    rest, more = tally(body[used:])
    assert first + rest == Tally(len(sizes), sum(sizes), 0)
    assert used + more == len(body)


def test_open_has_the_capability_of_the_family() -> None:
    whole = open_message(4_200_000_001, b"\xc0\0\2\1")
    assert struct.unpack_from("!HB", whole, 16) == (len(whole), OPEN)
    assert struct.unpack_from("!BHH", whole, 19) == (4, 23456, 0)
    assert bytes([65, 4]) + struct.pack("!I", 4_200_000_001) in whole


@pytest.mark.parametrize("stream", [b"\0" * 19, b"\xff" * 16 + struct.pack("!HB", 18, 2)])
def test_malformed_bgp_is_refused(stream: bytes) -> None:
    with pytest.raises(ValueError, match="BGP message"):
        tally(stream)
