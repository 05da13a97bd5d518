"""The addresses that pools of servers give to their clients."""

from pathlib import PurePosixPath

import pytest

from lab.configs.openvpn.configuration import parse
from lab.own.pools import pool_ipv4, pool_ipv6


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("topology subnet\nserver 10.8.0.0 255.255.255.0\n", ["10.8.0.2/24", "10.8.0.3/24"]),
        ("topology p2p\nserver 10.8.0.0 255.255.255.0\n", ["10.8.0.2/24", "10.8.0.3/24"]),
        ("server 10.8.0.0 255.255.255.0\n", ["10.8.0.6/24", "10.8.0.10/24"]),
        (
            "topology subnet\nserver 10.8.0.0 255.255.255.0 nopool\nifconfig-pool 10.8.0.100 10.8.0.150\n",
            ["10.8.0.100/24", "10.8.0.101/24"],
        ),
        ("topology subnet\nserver 10.8.0.0 255.255.255.252\n", ["10.8.0.2/30", "10.8.0.3/30"]),
        ("mode server\n", [None, None]),
    ],
)
def test_ipv4_addresses_are_in_the_order_of_the_clients(text: str, found: list[str | None]) -> None:
    server = parse(text, PurePosixPath("/etc/openvpn/hq.conf"))
    assert [str(a) if (a := pool_ipv4(server, number)) else None for number in (0, 1)] == found


def test_ipv6_addresses_begin_at_1000() -> None:
    server = parse("server-ipv6 fd00:8::/64\n", PurePosixPath("/etc/openvpn/hq.conf"))
    assert [str(pool_ipv6(server, number)) for number in (0, 1)] == ["fd00:8::1000/64", "fd00:8::1001/64"]
    other = parse("server-ipv6 fd00:8::/64\nifconfig-ipv6-pool fd00:8::77/64\n", PurePosixPath("/etc/openvpn/hq.conf"))
    assert str(pool_ipv6(other, 0)) == "fd00:8::77/64"
    assert pool_ipv6(parse("client\n", PurePosixPath("/x")), 0) is None
