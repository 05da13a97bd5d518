"""The attributes of netlink messages (netlink(7))."""

import struct
from collections.abc import Iterator

_HEADER = struct.Struct("=HH")
_TYPE = 0x3FFF
"""An attribute's type without the flags for nesting and byte order."""


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the types and values of attributes that follow each other."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind & _TYPE, data[offset + _HEADER.size : offset + length]
        offset += aligned(length)


def aligned(length: int) -> int:
    """Return the bytes that a message or an attribute of a length takes."""
    return (length + 3) & ~3
