"""Drops of packets in the text of a trace."""

import pytest

from lab.observe.drops import Drop, Drops, drops, tracing

TRACE = """\
# tracer: nop
  sh-1 [000] ..s. 10.1: netif_receive_skb: dev=eth2 skbaddr=00000000aaaa len=84
  sh-1 [000] ..s. 10.2: netif_receive_skb: dev=tun0 skbaddr=00000000bbbb len=84
  sh-1 [000] ..s. 10.3: netif_receive_skb: dev=tun0 skbaddr=00000000aaaa len=84
  sh-1 [000] ..s. 10.4: kfree_skb: skbaddr=00000000cccc rx_sk=0 protocol=2048 location=ip_error+0x1/0x2 reason: IP_INNOROUTES
  sh-1 [000] ..s. 10.5: kfree_skb: skbaddr=00000000aaaa rx_sk=0 protocol=2048 location=ip_rcv+0x6/0x9 reason: IP_RPFILTER
  sh-1 [000] ..s. 10.6: kfree_skb: skbaddr=00000000aaaa rx_sk=0 protocol=2048 location=ip_rcv+0x6/0x9 reason: IP_CSUM
  sh-1 [000] ..s. 10.7: kfree_skb: skbaddr=00000000bbbb rx_sk=0 protocol=2048 location=x+0x6/0x9 reason: NOT_SPECIFIED
"""  # noqa: E501


def test_drops_are_those_of_packets_that_were_received() -> None:
    found = tuple(drops(TRACE.splitlines()))
    assert found[0] == Drop("tun0", 84, "IP_RPFILTER", "ip_rcv")
    assert [drop.reason for drop in found] == ["IP_RPFILTER", "NOT_SPECIFIED"]


def test_reason_is_told_only_if_there_is_one() -> None:
    seen = Drops()
    seen.all = tuple(drops(TRACE.splitlines()))
    assert seen.reason("tun0", 84) == "IP_RPFILTER"
    assert seen.reason("eth2", 84) == seen.reason("tun0", 85) == ""
    seen.all += (Drop("tun0", 84, "NETFILTER_DROP", "nf"),)
    assert seen.reason("tun0", 84) == ""


def test_error_in_the_block_is_raised() -> None:
    with pytest.raises(ValueError, match="no number"), tracing():
        int("no number")
