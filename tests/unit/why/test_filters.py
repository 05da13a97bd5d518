"""The rule of nftables that drops the packet which is looked for, and not one that drops another."""

from scapy.layers.inet import IP, UDP

from lab.engine.nft_trace import Step
from lab.why.lost.filters import dropping_step
from lab.why.packet import Packet


def step(number: int, handle: int | None, drops: bool, port: int = 0) -> Step:
    packet = bytes(IP(src="10.1.0.10", dst="10.2.0.10") / UDP(dport=port)) if port else b""
    return Step(number, "ip", "f", "c", handle, drops, packet)


def ours(packet: Packet) -> bool:
    return packet.ports is not None and packet.ports[1] == 53


def test_rule_that_drops_another_packet_is_not_named() -> None:
    other, mine = step(1, 7, True, 80), step(2, 9, True, 53)
    assert dropping_step([other], ours) is None
    assert dropping_step([other, mine], ours) is mine


def test_policy_behind_rules_is_found_by_the_number_of_the_packet() -> None:
    steps = [step(5, 2, False, 53), step(5, 3, False), step(6, None, True, 80), step(5, None, True)]
    assert dropping_step(steps, ours) is steps[-1]
    assert dropping_step(steps[:3], ours) is None
