"""What OpenVPN says over TCP, frame by frame: a length in two bytes, then a packet that begins with its opcode.

See the "Network protocol" chapter of OpenVPN's `ssl.h` and `--proto tcp` in openvpn(8).
"""

from collections.abc import Iterable, Iterator
from struct import unpack_from

from scapy.layers.inet import IP, TCP
from scapy.packet import Packet

DATA = {6, 9}
"""P_DATA_V1 and P_DATA_V2: what carries packets of the tunnel. All others negotiate keys."""

_Flow = tuple[str, int, str, int]


def opcodes(frames: Iterable[Packet]) -> list[int]:
    """The opcodes of all OpenVPN packets in the TCP connections that began within a capture."""
    streams: dict[_Flow, dict[int, bytes]] = {}
    begins: dict[_Flow, int] = {}
    for frame in frames:
        ip, tcp = frame[IP], frame[TCP]
        flow = (ip.src, tcp.sport, ip.dst, tcp.dport)
        if "S" in tcp.flags:
            begins[flow], streams[flow] = tcp.seq + 1, {}
        # Ethernet pads short frames: the IP header says how long the segment is.
        payload = bytes(tcp.payload)[: ip.len - 4 * ip.ihl - 4 * tcp.dataofs]
        if payload and flow in begins:
            streams[flow][(tcp.seq - begins[flow]) % 2**32] = payload
    return [opcode for stream in streams.values() for opcode in _opcodes(_joined(stream))]


def _joined(segments: dict[int, bytes]) -> bytes:
    stream = b""
    for offset, payload in sorted(segments.items()):
        if offset <= len(stream):  # a segment that was sent again may begin earlier
            stream = stream[:offset] + payload + stream[offset + len(payload) :]
    return stream


def _opcodes(stream: bytes) -> Iterator[int]:
    while len(stream) > 2:
        (length,) = unpack_from("!H", stream)
        yield stream[2] >> 3
        stream = stream[2 + length :]
