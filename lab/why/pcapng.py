"""Packets of many interfaces in one pcapng file, each with a comment that says where it was captured.

The format is that of draft-ietf-opsawg-pcapng: a section header, a description of each interface, the packets.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from lab.why.probe import Sign
from lab.why.tracer import Traced
from lab.why.watch import Captured

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_MAGIC = 0x1A2B3C4D
_END, _COMMENT, _NAME, _RESOLUTION, _FLAGS = 0, 1, 2, 9, 2
_NANOSECONDS = 9
_INBOUND, _OUTBOUND = 1, 2


def write_pcapng(stream: BinaryIO, traces: Iterable[Traced]) -> None:
    """Write all that was captured while packets were traced, in the order of time."""
    stream.write(_block(_SECTION, struct.pack("=IHHq", _MAGIC, 1, 0, -1)))
    numbers: dict[tuple[str, str, int], int] = {}
    for traced in traces:
        signs = {id(seen): sign for seen, sign in traced.signs}
        for seen in traced.captured:
            key = (seen.node, seen.interface, seen.raw.linktype)
            if key not in numbers:
                numbers[key] = len(numbers)
                options = [(_NAME, f"{seen.node}:{seen.interface}".encode()), (_RESOLUTION, bytes([_NANOSECONDS]))]
                stream.write(_block(_INTERFACE, struct.pack("=HHI", seen.raw.linktype, 0, 0) + _options(options)))
            stream.write(_packet(numbers[key], seen, comment(seen, signs.get(id(seen)))))


def comment(seen: Captured, sign: Sign | None) -> str:
    """Return where a packet was, and what it is to the probe."""
    what = f"; {sign.role} {sign.number}" if sign is not None else ""
    return f"{seen.node} {seen.interface} {'out' if seen.outgoing else 'in'}{what}"


def _packet(interface: int, seen: Captured, text: str) -> bytes:
    nanoseconds = int(seen.time * 1e9)
    data = seen.raw.data
    head = struct.pack("=IIIII", interface, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF, len(data), len(data))
    flags = struct.pack("=I", _OUTBOUND if seen.outgoing else _INBOUND)
    return _block(_PACKET, head + _padded(data) + _options([(_COMMENT, text.encode()), (_FLAGS, flags)]))


def _options(options: Sequence[tuple[int, bytes]]) -> bytes:
    found = b"".join(struct.pack("=HH", code, len(value)) + _padded(value) for code, value in options)
    return found + struct.pack("=HH", _END, 0)


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("=II", kind, length) + body + struct.pack("=I", length)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
