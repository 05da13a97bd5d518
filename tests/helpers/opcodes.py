"""The opcodes of OpenVPN's packets: the first bits of each packet, over TCP after a length of two bytes.

See the "Network protocol" chapter of OpenVPN's `ssl.h` and `--proto tcp` in openvpn(8).
"""

from collections.abc import Iterable, Iterator
from struct import unpack_from

from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Packet

DATA = {6, 9}
"""P_DATA_V1 and P_DATA_V2 carry packets of the tunnel; all others belong to the control channel."""

_RESET = {7, 10}
"""P_CONTROL_HARD_RESET_CLIENT_V2 and V3, the first packets of a client."""
_Flow = tuple[str, int, str, int]


def opcodes(frames: Iterable[Packet]) -> list[int]:
    """Return the opcodes of all OpenVPN packets in sessions that began within a capture, over UDP and TCP."""
    begun: set[frozenset[tuple[str, int]]] = set()
    datagrams = []
    streams: dict[_Flow, dict[int, bytes]] = {}
    begins: dict[_Flow, int] = {}
    for frame in frames:
        if UDP in frame:
            ends = frozenset([(frame[IP].src, frame[UDP].sport), (frame[IP].dst, frame[UDP].dport)])
            opcode = bytes(frame[UDP].payload)[0] >> 3
            begun |= {ends} if opcode in _RESET else set()
            datagrams += [opcode] if ends in begun else []
            continue
        ip, tcp = frame[IP], frame[TCP]
        flow = (ip.src, tcp.sport, ip.dst, tcp.dport)
        if "S" in tcp.flags:
            begins[flow], streams[flow] = tcp.seq + 1, {}
        # Ethernet pads short frames: the IP header says how long the segment is.
        payload = bytes(tcp.payload)[: ip.len - 4 * ip.ihl - 4 * tcp.dataofs]
        if payload and flow in begins:
            streams[flow][(tcp.seq - begins[flow]) % 2**32] = payload
    return datagrams + [opcode for stream in streams.values() for opcode in _opcodes(_joined(stream))]


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
