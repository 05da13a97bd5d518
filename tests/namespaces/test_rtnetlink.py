"""The parser of route messages, compared with pyroute2's on the same bytes."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from lab.engine import Namespace
from lab.observe.fib import subscribe
from lab.observe.rtnetlink import AddressGone, LinkMessage, Message, RouteMessage, messages
from tests.helpers.sandbox import Sandbox

Make = Callable[[], Sandbox]
CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("route", "add", {"dst": "10.9.0.0/24", "gateway": "192.0.2.2", "proto": 186, "priority": 20}),
    ("route", "add", {"dst": "2001:db8:9::/64", "family": 10, "gateway": "2001:db8::2", "proto": 186}),
    ("route", "add", {"dst": "0.0.0.0/0", "gateway": "192.0.2.2"}),
    ("route", "add", {"dst": "10.10.0.0/16", "multipath": [{"gateway": "192.0.2.2"}, {"gateway": "192.0.2.3"}]}),
    ("addr", "add", {"dev": "w1", "address": "10.11.0.1", "prefixlen": 16}),
    ("route", "add", {"dst": "10.12.0.0/16", "type": "blackhole"}),
    ("route", "add", {"dst": "10.13.0.0/16", "gateway": "192.0.2.2", "table": 1000}),
    ("route", "del", {"dst": "10.9.0.0/24", "gateway": "192.0.2.2", "priority": 20}),
    ("link", "set", {"dev": "w1", "mtu": 1400}),
    ("addr", "del", {"dev": "w1", "address": "192.0.2.1", "prefixlen": 24}),
    ("link", "set", {"dev": "w1", "state": "down"}),
]


@pytest.fixture
def box(sandbox: Make) -> Sandbox:
    made = sandbox()
    made.ip(
        ("link", "add", {"ifname": "w1", "kind": "veth", "peer": {"ifname": "p1"}}),
        ("link", "set", {"dev": "w1", "state": "up"}),
        ("link", "set", {"dev": "p1", "state": "up"}),
        ("addr", "add", {"dev": "w1", "address": "192.0.2.1", "prefixlen": 24}),
        ("addr", "add", {"dev": "w1", "address": "2001:db8::1", "prefixlen": 64, "family": 10, "flags": 2}),
    )
    return made


def notifications(namespace: Namespace, change: Callable[[], None]) -> list[bytes]:
    """Return the kernel's notifications of a change, which arrive before the change returns."""
    with namespace.run(subscribe) as events:
        change()
        found = []
        try:
            while True:
                found.append(events.recv(1 << 18, 0x40))  # MSG_DONTWAIT
        except BlockingIOError:
            return found


def theirs(data: bytes) -> list[Message]:
    """Parse the same bytes with pyroute2."""
    found: list[Message] = []
    for message in MarshalRtnl().parse(data):
        kind = message["event"]
        if kind in ("RTM_NEWROUTE", "RTM_DELROUTE"):
            anywhere = "0.0.0.0" if message["family"] == 2 else "::"  # noqa: S104 - a prefix, not a socket
            several = message.get_attr("RTA_MULTIPATH") or []
            hops = [(h.get_attr("RTA_GATEWAY"), h["oif"]) for h in several]
            if message.get_attr("RTA_OIF"):
                hops.insert(0, (message.get_attr("RTA_GATEWAY"), message.get_attr("RTA_OIF")))
            found.append(
                RouteMessage(
                    new=kind == "RTM_NEWROUTE",
                    prefix=ip_network(f"{message.get_attr('RTA_DST') or anywhere}/{message['dst_len']}"),
                    hops=tuple((ip_address(via) if via else None, index) for via, index in hops),
                    table=message.get_attr("RTA_TABLE") or message["table"],
                    kind=message["type"],
                    protocol=message["proto"],
                    metric=message.get_attr("RTA_PRIORITY") or 0,
                )
            )
        elif kind in ("RTM_NEWLINK", "RTM_DELLINK"):
            up, name = kind == "RTM_NEWLINK" and bool(message["flags"] & 1), message.get_attr("IFLA_IFNAME")
            found.append(LinkMessage(message["index"], up, name, bool(message["flags"] & 0x10040)))
        elif kind == "RTM_DELADDR":
            found.append(AddressGone())
    return found


def test_parser_agrees_with_pyroute2(box: Sandbox) -> None:
    data = notifications(box.namespace, lambda: box.ip(*CHANGES))
    ours = [message for part in data for message in messages(part)]
    assert ours == [message for part in data for message in theirs(part)]
    routes = {str(m.prefix): m for m in ours if isinstance(m, RouteMessage) and m.new}
    assert {str(c[2]["dst"]) for c in CHANGES if c[:2] == ("route", "add")} | {"10.11.0.0/16"} <= routes.keys()
    assert [via for via, _ in routes["10.10.0.0/16"].hops] == [ip_address("192.0.2.2"), ip_address("192.0.2.3")]
    assert any(isinstance(m, LinkMessage) and not m.up for m in ours)
    assert AddressGone() in ours


@pytest.mark.parametrize("data", [b"", b"\0" * 15, b"\0" * 64, b"\x40\0\0\0" + b"\x18\0" + b"\0" * 10])
def test_data_without_a_message_is_skipped(data: bytes) -> None:
    assert list(messages(data[:16])) == []
