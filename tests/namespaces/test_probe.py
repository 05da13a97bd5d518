"""Echo requests: answered, unanswered, not sent, too long."""

import time
from collections.abc import Callable
from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6

from lab.observe import Capture, Echo, echo
from lab.topology import Address, Family
from tests.helpers.sandbox import Sandbox

Make = Callable[[], Sandbox]
THERE: dict[Family, Address] = {"ipv4": ip_address("192.0.2.2"), "ipv6": ip_address("2001:db8::2")}
UNUSED: dict[Family, Address] = {"ipv4": ip_address("192.0.2.9"), "ipv6": ip_address("2001:db8::9")}
ELSEWHERE: dict[Family, Address] = {"ipv4": ip_address("203.0.113.1"), "ipv6": ip_address("2001:db8:9::1")}
NEIGHBOR = "02:00:00:00:00:0b"


@pytest.fixture
def a(sandbox: Make) -> Sandbox:
    """A node on a link with an MTU of 1400, whose neighbour table also has the addresses in `UNUSED`."""
    here, there = sandbox(), sandbox()
    peer = {"ifname": "eth1", "net_ns_pid": there.pid, "address": NEIGHBOR, "mtu": 1400}
    here.ip(("link", "add", {"ifname": "eth1", "kind": "veth", "mtu": 1400, "peer": peer}))
    for box, last in ((here, 1), (there, 2)):
        box.let_ping()
        box.ip(
            ("link", "set", {"dev": "eth1", "state": "up"}),
            ("addr", "add", {"dev": "eth1", "address": f"192.0.2.{last}", "prefixlen": 24}),
            ("addr", "add", {"dev": "eth1", "address": f"2001:db8::{last}", "prefixlen": 64, "family": 10, "flags": 2}),
        )
    for unused in UNUSED.values():
        known = {"dst": str(unused), "lladdr": NEIGHBOR, "family": 2 if unused.version == 4 else 10}
        here.ip(("neigh", "add", {"dev": "eth1", "state": "permanent", **known}))
    return here


@pytest.mark.parametrize("count", [1, 5])
def test_each_echo_request_is_answered(a: Sandbox, family: Family, count: int) -> None:
    result = echo(a.namespace, "a", THERE[family], count=count, interval=0.01, wait=10)
    assert result == Echo("a", THERE[family], count, count)
    assert result.answered
    assert not result.silent


def test_last_reply_ends_the_wait(a: Sandbox, family: Family) -> None:
    started = time.monotonic()
    assert echo(a.namespace, "a", THERE[family], wait=60).answered
    assert time.monotonic() - started < 30


def test_unanswered_requests_are_counted_after_the_wait(a: Sandbox, family: Family) -> None:
    started = time.monotonic()
    result = echo(a.namespace, "a", UNUSED[family], count=2, interval=0.01, wait=0.2)
    assert time.monotonic() - started >= 0.2
    assert (result.sent, result.received, result.refused) == (2, 0, "")
    assert result.silent
    assert not result.answered
    assert str(result) == f"0 of 2 echo requests from a to {UNUSED[family]} answered"


def test_destination_without_a_route_is_refused_by_the_kernel(a: Sandbox, family: Family) -> None:
    result = echo(a.namespace, "a", ELSEWHERE[family], wait=10)
    assert result.silent
    assert "unreachable" in result.refused
    assert result.refused in str(result)


@pytest.mark.parametrize(("size", "passes"), [(84, True), (1400, True), (1401, False)])
def test_packet_has_the_requested_size_and_is_not_fragmented(
    a: Sandbox, family: Family, size: int, passes: bool
) -> None:
    with Capture(a.namespace, "eth1") as capture:
        result = echo(a.namespace, "a", THERE[family], packet_size=size, wait=10)
        packets = [p.decode().payload for p in capture.stop() if p.outgoing]
    requests = [p for p in packets if ICMP in p or ICMPv6EchoRequest in p]
    assert result.answered is passes
    assert result.refused == ("" if passes else "Message too long")
    if passes:
        (request,) = requests
        assert len(bytes(request)) == size
        assert IPv6 in request or request.flags.DF
    else:
        assert requests == []


def test_partly_answered_requests_are_neither_answered_nor_silent() -> None:
    partly = Echo("a", THERE["ipv4"], 3, 2)
    assert not partly.answered
    assert not partly.silent
    assert not Echo("a", THERE["ipv4"], 0, 0).answered
