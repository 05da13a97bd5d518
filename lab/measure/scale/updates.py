"""Counts of the prefixes that BGP messages announce and withdraw (RFC 4271, section 4; RFC 4760)."""

import struct
from typing import Final, NamedTuple

HEADER: Final = 19
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
_MARKER: Final = b"\xff" * 16
_MP_REACH, _MP_UNREACH = 14, 15
_EXTENDED: Final = 0x10
_UNICAST: Final = 1
_AFI: Final = {1: "ipv4", 2: "ipv6"}
_AS_TRANS: Final = 23456


class Tally(NamedTuple):
    """The sum over some messages."""

    updates: int = 0
    announced: int = 0
    """Number of prefixes of all families."""
    withdrawn: int = 0

    def __add__(self, other: object) -> "Tally":
        if not isinstance(other, Tally):
            return NotImplemented
        return Tally(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def message(kind: int, body: bytes = b"") -> bytes:
    """Return a message with its header."""
    return _MARKER + struct.pack("!HB", HEADER + len(body), kind) + body


def open_message(asn: int, identifier: bytes) -> bytes:
    """Return an OPEN for unicast routes of both families and four-byte AS numbers, without a hold timer."""
    capabilities = b"".join(struct.pack("!BBHBB", 1, 4, afi, 0, _UNICAST) for afi in _AFI)
    capabilities += struct.pack("!BBI", 65, 4, asn)
    parameters = struct.pack("!BB", 2, len(capabilities)) + capabilities
    return message(OPEN, struct.pack("!BHH4sB", 4, min(asn, _AS_TRANS), 0, identifier, len(parameters)) + parameters)


def tally(stream: bytes) -> tuple[Tally, int]:
    """Count the complete messages of a stream; also return their length in bytes.

    Raises `ValueError` if the stream is not BGP.
    """
    total, at = Tally(), 0
    while len(stream) - at >= HEADER:
        if stream[at : at + 16] != _MARKER:
            raise ValueError(f"not a BGP message at byte {at}")
        length, kind = struct.unpack_from("!HB", stream, at + 16)
        if length < HEADER:
            raise ValueError(f"a BGP message of {length} bytes at byte {at}")
        if len(stream) - at < length:
            break
        if kind == UPDATE:
            total += _update(stream[at + HEADER : at + length])
        at += length
    return total, at


def _update(body: bytes) -> Tally:
    (length,) = struct.unpack_from("!H", body)
    withdrawn, at = _prefixes(body[2 : 2 + length]), 2 + length
    (length,) = struct.unpack_from("!H", body, at)
    end = at + 2 + length
    at, announced = at + 2, _prefixes(body[end:])
    while at < end:
        flags, kind = body[at], body[at + 1]
        size = 4 if flags & _EXTENDED else 3
        length = int.from_bytes(body[at + 2 : at + size])
        value = body[at + size : at + size + length]
        if kind == _MP_REACH:  # family, next hop, a reserved byte, prefixes
            announced += _prefixes(value[5 + value[3] :])
        elif kind == _MP_UNREACH:
            withdrawn += _prefixes(value[3:])
        at += size + length
    return Tally(1, announced, withdrawn)


def _prefixes(field: bytes) -> int:
    """Return the number of prefixes in a field: each is its length in bits, then as many bytes as that takes."""
    count = at = 0
    while at < len(field):
        at += 1 + (field[at] + 7) // 8
        count += 1
    return count
