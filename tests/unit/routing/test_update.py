"""BGP messages: split from a stream, and decoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.routing.update import MARKER, Update, decode, split
from tests.helpers.bgp_messages import (
    ANNOUNCE4,
    ANNOUNCE6,
    ATTRIBUTES,
    END_OF_RIB,
    KEEPALIVE,
    THREE4,
    THREE6,
    WITHDRAW4,
    WITHDRAW6,
    nets,
)


@pytest.mark.parametrize(
    ("message", "update"),
    [
        (ANNOUNCE4, Update(THREE4, nets())),
        (WITHDRAW4, Update(nets(), THREE4)),
        (ANNOUNCE6, Update(THREE6, nets())),
        (WITHDRAW6, Update(nets(), THREE6)),
        (END_OF_RIB, Update(nets(), nets())),
        (KEEPALIVE, None),
        (b"", None),
    ],
)
def test_update_is_decoded(message: bytes, update: Update | None) -> None:
    assert decode(message) == update


def test_only_given_prefixes_are_decoded() -> None:
    prefixes = nets("10.128.1.0/24", "10.9.0.0/24")
    assert decode(ANNOUNCE4, prefixes) == Update(nets("10.128.1.0/24"), nets())
    assert decode(WITHDRAW6, prefixes) is None
    assert decode(ANNOUNCE4, nets("10.128.0.0/16")) is None, "longer prefixes inside it do not match"


def test_default_route_before_other_prefixes_is_decoded() -> None:
    message = MARKER + bytes.fromhex("003802" + "0000" + "001c" + ATTRIBUTES + "00" + "180a8000")
    assert decode(message[:16] + len(message).to_bytes(2, "big") + message[18:]) == Update(
        nets("0.0.0.0/0", "10.128.0.0/24"), nets()
    )


@given(st.lists(st.sampled_from([ANNOUNCE4, WITHDRAW4, ANNOUNCE6, KEEPALIVE]), max_size=6), st.data())
def test_stream_is_split_after_a_cut_anywhere(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(sent)
    cut = data.draw(st.integers(0, len(stream)))
    first, left = split(stream[:cut])
    second, rest = split(left + stream[cut:])
    assert first + second == sent
    assert rest == b""


def test_stream_that_begins_within_a_message_continues_with_the_next() -> None:
    found, left = split(ANNOUNCE4[25:] + WITHDRAW4 + KEEPALIVE[:10])
    assert found == [WITHDRAW4]
    assert left == KEEPALIVE[:10]
