"""Send packets into a tunnel once more, and see how far they come: into the device, outside, out at the other end."""

import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from lab.core.errors import LabError
from lab.observe import Capture, CapturedPacket, send
from lab.topology import Address, Tunnel
from lab.tunnel import RunningTunnel
from lab.why.packet import TCP, UDP, Packet

_COUNT = 3
_WITHIN = 1.5
"""Seconds until all packets have come out, if they do; some milliseconds are usual."""
_SETTLE = 0.1
"""Seconds after that for what else there is to see: a log line, an ICMP message."""
_POLL = 0.02
_TOKEN = 16
_HEADERS = {4: 28, 6: 48}
"""Bytes before the payload of an echo request."""
_OUTER_HEADERS = 28
"""Bytes of the shortest headers around an inner packet: IPv4 and UDP."""
OVERHEAD = 160
"""The most bytes by which an outer packet is larger than the inner one."""


@dataclass(frozen=True)
class Crossing:
    """The fate of some packets that were sent into a tunnel."""

    size: int
    sent: int
    refused: str
    """The kernel's error, if it did not send them."""
    entered: int
    """The number that entered the tunnel's device at the sender."""
    emerged: int
    """The number that came out of the device at the other end."""
    elsewhere: tuple[str, ...]
    """The nodes at which they came out of another tunnel's device, or out of the one that they had entered."""
    left: tuple[int, ...]
    """The sizes of the outer packets that the sender sent to the other end in that time and that could hold them."""
    arrived: tuple[int, ...]
    """The sizes of those that arrived there."""
    told_mtu: tuple[str, int] | None
    """The sender and the MTU of an ICMP message to the sender of the outer packets that they are too big."""
    sender_lines: Sequence[str]
    """The log lines of the sender's OpenVPN in that time."""
    receiver_lines: Sequence[str]

    @property
    def passed(self) -> bool:
        """True if all came out at the other end."""
        return self.emerged == self.sent

    @property
    def lost(self) -> bool:
        """True if they entered and none came out."""
        return bool(self.entered) and not self.emerged


def cross(tunnel: RunningTunnel, sender: str, source: Address, destination: Address, size: int) -> Crossing:
    """Send echo requests of a size, with DF, from a source that the sender need not have, into the tunnel."""
    here, there = (tunnel.server, tunnel.client) if sender == tunnel.tunnel.server else (tunnel.client, tunnel.server)
    tokens = [os.urandom(_TOKEN) for _ in range(_COUNT)]
    others = {t.client.node.name: t for t in tunnel.sharing if t is not tunnel and not t.external}
    marks = here.log_size(), there.log_size()
    refused = ""
    with ExitStack() as stack:
        near = stack.enter_context(Capture(here.node.namespace, None, node=here.node.name))
        far = stack.enter_context(Capture(there.node.namespace, None, node=there.node.name))
        beside = {
            name: stack.enter_context(Capture(other.client.node.namespace, None, node=name))
            for name, other in others.items()
            if name not in (here.node.name, there.node.name) and other.client.node.namespace.exists
        }
        for token in tokens:
            try:
                send(here.node.namespace, _packet(source, destination, size, token), here.device)
            except (OSError, LabError) as error:
                refused = getattr(error, "strerror", None) or str(error)
        deadline = time.monotonic() + _WITHIN
        while time.monotonic() < deadline and _count(far.packets, tokens, there.device, outgoing=False) < _COUNT:
            time.sleep(_POLL)
        time.sleep(_SETTLE)
        packets = near.stop(), far.stop()
        aside = {name: capture.stop() for name, capture in beside.items()}
    elsewhere = [
        name for name, seen in aside.items() if _count(seen, tokens, others[name].client.device, outgoing=False)
    ]
    if _count(packets[0], tokens, here.device, outgoing=False):
        elsewhere.append(here.node.name)
    strangers = frozenset(t.tunnel.client_at.outer for t in others.values()) - {tunnel.tunnel.client_at.outer}
    left = carriers(outer(packets[0], tunnel.tunnel, size, strangers, outgoing=True), size, tunnel.tunnel.transport)
    arrived = outer(packets[1], tunnel.tunnel, size, strangers, outgoing=False)
    return Crossing(
        size=size,
        sent=_COUNT,
        refused=refused,
        entered=_count(packets[0], tokens, here.device, outgoing=True),
        emerged=_count(packets[1], tokens, there.device, outgoing=False),
        elsewhere=tuple(elsewhere),
        left=left,
        arrived=tuple(each for each in arrived if left and (tunnel.tunnel.transport == "tcp" or each in left)),
        told_mtu=_told_mtu(packets[0]),
        sender_lines=here.log_lines(since=marks[0]),
        receiver_lines=there.log_lines(since=marks[1]),
    )


def _packet(source: Address, destination: Address, size: int, token: bytes) -> Any:
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
    from scapy.packet import Raw

    # Random, so that no end can compress it.
    filling = Raw(token + os.urandom(max(0, size - _HEADERS[destination.version] - len(token))))
    if destination.version == 4:
        return IP(src=str(source), dst=str(destination), flags="DF") / ICMP() / filling
    return IPv6(src=str(source), dst=str(destination)) / ICMPv6EchoRequest() / filling


def _count(seen: Sequence[CapturedPacket], tokens: Sequence[bytes], device: str, *, outgoing: bool) -> int:
    """Return how many of the packets a device has sent or received; an answer has the same token."""
    data = [
        packet.data
        for packet in seen
        if packet.interface == device and packet.outgoing == outgoing and _is_request(packet)
    ]
    return sum(any(token in each for each in data) for token in tokens)


def _is_request(packet: CapturedPacket) -> bool:
    parsed = Packet.parse(packet.ip)
    return parsed is not None and parsed.icmp is not None and parsed.icmp[0] in (8, 128)


def outer(
    seen: Sequence[CapturedPacket], tunnel: Tunnel, size: int, strangers: Collection[Address | None], *, outgoing: bool
) -> tuple[int, ...]:
    """Return the sizes of a tunnel's outer packets that are as large as one with the inner packet in it.

    Packets between the server and `strangers`, its other clients, are not the tunnel's. Other addresses may be: a NAT
    changes them on the way.
    """
    protocol = TCP if tunnel.transport == "tcp" else UDP
    devices = {tunnel.device, tunnel.server_device}
    found = []
    for packet in seen:
        parsed = Packet.parse(packet.ip) if packet.outgoing == outgoing and packet.interface not in devices else None
        if parsed is None or parsed.protocol != protocol:
            continue
        if (parsed.destination if outgoing else parsed.source) in strangers:
            continue
        fits = size + _OUTER_HEADERS <= parsed.size and (protocol == TCP or parsed.size <= size + OVERHEAD)
        if parsed.ports is not None and tunnel.port in parsed.ports and (fits or parsed.fragment):
            found.append(parsed.size)
    return tuple(found)


def carriers(sizes: Sequence[int], size: int, transport: str) -> tuple[int, ...]:
    """Return the sizes of outer packets that carry the inner ones, without those that left by chance meanwhile.

    Inner packets of one size make as many outer packets of one size, or of one fragment's; TCP can join them.
    """
    if transport == "tcp":
        return tuple(sizes) if sum(sizes) >= (_COUNT - 1) * size else ()
    counts = Counter(sizes)
    return tuple(each for each in sizes if counts[each] >= _COUNT - 1)


def _told_mtu(seen: Sequence[CapturedPacket]) -> tuple[str, int] | None:
    for packet in seen:
        parsed = Packet.parse(packet.ip) if not packet.outgoing else None
        if parsed is not None and parsed.told_mtu:
            return str(parsed.source), parsed.told_mtu
    return None
