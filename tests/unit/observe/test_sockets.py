"""The sockets of a node, as the kernel lists them."""

import os
import socket
import sys
from ipaddress import IPv4Address, ip_address

import pytest

from lab.engine import Namespace
from lab.observe.sockets import Socket, SocketAddress, State, listens, read, sockets

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the tables are of a little-endian host")

ANY = str(IPv4Address(0))
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TCP = (
    HEAD
    + """\
   0: 016433C6:04AA 056433C6:A5C4 01 00000CAA:00000000 01:00000292 00000006     0        0 1 2 0
   1: 016433C6:04AA 056433C6:A5C5 01 00000000:00000000 00:00000000 00000000     0        0 1 2 0
   2: 00000000:04AA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 2 0
   3: 0000000000000000FFFF0000016433C6:04AA 0000000000000000FFFF0000056433C6:A5C4 01 00000001:00000000 00:0 00000000 0
   4: 016433C6:E24A 056433C6:00B3 02 00000001:00000000 01:00000063 00000002     0        0 8 2 0
"""
)
UDP6 = HEAD + " 1: 00000000000000000000000000000000:04AA 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 3\n"


def address(transport: str, host: str, port: int) -> SocketAddress:
    return SocketAddress(transport, ip_address(host), port)


@little_endian
def test_sockets_have_addresses_states_queues_and_retransmissions() -> None:
    first, second, listener, mapped, waiting = read(TCP, "tcp")
    here, there = address("tcp", "198.51.100.1", 1194), address("tcp", "198.51.100.5", 42436)
    assert first == Socket(here, there, State.ESTABLISHED, 3242, 6)
    assert first.stalled
    assert not second.stalled
    assert (listener.local, listener.state) == (address("tcp", ANY, 1194), State.LISTENING)
    assert (mapped.local, mapped.remote) == (here, there)
    assert not mapped.stalled  # it was not sent again yet
    assert (waiting.remote.port, waiting.state, waiting.retransmitted) == (179, State.SYN_SENT, 2)


def test_sockets_of_udp_and_of_an_empty_table() -> None:
    (found,) = read(UDP6, "udp")
    assert (found.local, found.state) == (address("udp", "::", 1194), State.UNCONNECTED)
    assert list(read("", "udp")) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_sockets_of_this_host_are_found(host: str) -> None:
    here = Namespace(os.getpid())
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        port = server.getsockname()[1]
        assert listens(here, port)
        with socket.create_connection((host, port)) as client:
            local = address("tcp", host, client.getsockname()[1])
            found = [each for each in sockets(here, "tcp", State.ESTABLISHED) if each.local == local]
            assert [each.remote for each in found] == [address("tcp", host, port)]
    assert not listens(here, port)


def test_namespace_that_has_ended_has_no_sockets() -> None:
    assert sockets(Namespace(2**22 + 1), "tcp", State.LISTENING) == []


@pytest.mark.parametrize(
    ("here", "there", "taken"),
    [
        (("tcp", "198.51.100.1", 1194), ("tcp", "198.51.100.1", 1194), True),
        (("udp", "198.51.100.1", 1194), ("tcp", "198.51.100.1", 1194), False),
        (("tcp", "198.51.100.1", 1999), ("tcp", "198.51.100.1", 1194), False),
        (("tcp", "198.51.100.9", 1194), ("tcp", "198.51.100.1", 1194), False),
        (("udp", ANY, 1194), ("udp", "198.51.100.1", 1194), True),
        (("udp", ANY, 1194), ("udp", "2001:db8::1", 1194), False),
        (("udp", "::", 1194), ("udp", "198.51.100.1", 1194), True),
        (("udp", "::", 1194), ("udp", "2001:db8::1", 1194), True),
    ],
)
def test_socket_takes_what_is_sent_to_it(here: tuple[str, str, int], there: tuple[str, str, int], taken: bool) -> None:
    assert address(*here).takes(address(*there)) is taken
