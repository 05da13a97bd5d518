"""The address that a client tries, from its log."""

from ipaddress import ip_address

import pytest

from lab.observe.sockets import SocketAddress
from lab.why.listening import remote_of


@pytest.mark.parametrize(
    ("line", "remote"),
    [
        ("TCP/UDP: Preserving recently used remote address: [AF_INET]198.51.100.1:1194", ("198.51.100.1", 1194)),
        ("UDPv4 link remote: [AF_INET]198.51.100.1:1195", ("198.51.100.1", 1195)),
        ("UDPv6 link remote: [AF_INET6]2001:db8:f00:1::1:1194", ("2001:db8:f00:1::1", 1194)),
        ("Attempting to establish TCP connection with [AF_INET]198.51.100.1:443", ("198.51.100.1", 443)),
        ("TCP: connect to [AF_INET]198.51.100.1:1194 failed: Connection refused", ("198.51.100.1", 1194)),
        ("UDPv6 link remote: [AF_INET6]::ffff:198.51.100.1:1194", ("198.51.100.1", 1194)),
    ],
)
def test_last_address_that_a_client_tried(line: str, remote: tuple[str, int]) -> None:
    log = ["x link remote: [AF_INET]192.0.2.1:1", f"2026-11-30 12:00:00 us=1 {line}", "UDPv4 link local: (not bound)"]
    assert remote_of(log, "udp") == SocketAddress("udp", ip_address(remote[0]), remote[1])


def test_log_without_an_address_has_none() -> None:
    assert remote_of([], "udp") is None
    assert remote_of(["UDPv4 link remote: [AF_UNSPEC]"], "udp") is None
