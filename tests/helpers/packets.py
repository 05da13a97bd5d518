"""Packets that tests send and look for."""

from typing import Any

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from lab.observe import CapturedPacket, Echo
from lab.runtime.node import LabNode
from lab.topology import Address

MARK = b"this text was sent from one LAN to the other, inside the tunnel"
_HOUSEKEEPING = {130, 131, 132, 133, 134, 135, 136, 143}
"""ICMPv6 types that never leave a link: multicast listeners and neighbour discovery (RFC 2710, 3810, 4861)."""


def echo_request(source: Address, destination: Address) -> Packet:
    if source.version == 4:
        return IP(src=str(source), dst=str(destination), ttl=37, id=4711) / ICMP(id=7, seq=1) / Raw(MARK)
    return IPv6(src=str(source), dst=str(destination), hlim=37) / ICMPv6EchoRequest(id=7, seq=1, data=MARK)


def expect_no_answer(node: LabNode, address: Address, since: str, **options: Any) -> Echo:
    """Ping from a node and expect no reply, since what `since` says keeps the packets from passing."""
    result = node.echo(address, **options)
    assert result.silent, f"{node.name}: expected no answer from {address}, since {since}; last seen: {result}"
    return result


def carries_request(packet: CapturedPacket) -> bool:
    decoded = packet.decode()
    return MARK in packet.data and ((ICMP in decoded and decoded[ICMP].type == 8) or ICMPv6EchoRequest in decoded)


def is_housekeeping(frame: Ether) -> bool:
    if ARP in frame:
        return True
    # Multicast listeners speak behind a hop-by-hop header.
    return IPv6 in frame and any(layer.fields.get("type") in _HOUSEKEEPING for layer in frame[IPv6].iterpayloads())
