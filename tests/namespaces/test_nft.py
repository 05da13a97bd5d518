"""nftables by netlink, in a namespace that is thrown away: what is dropped, what passes, what goes with its owner."""

import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address

import pytest

from lab.core.errors import NotSupported
from lab.engine.nft import (
    Chain,
    Nft,
    Table,
    at_random,
    counter,
    device_is,
    drop,
    forward_to,
    mark_is_not,
    port_is,
    rule,
    source_is,
)
from tests.helpers.sandbox import Sandbox

HOME = {4: "127.0.0.1", 6: "::1"}
SO_MARK = 36


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A namespace whose loopback is up."""
    with Sandbox() as box:
        box.ip(("link", "set", {"dev": "lo", "state": "up"}))
        yield box


@pytest.fixture
def nft(box: Sandbox) -> Iterator[Nft]:
    with closing(box.namespace.run(Nft)) as nft:
        yield nft


def arrived(box: Sandbox, version: int, port: int, count: int = 1, mark: int = 0) -> int:
    """How many of some datagrams to a port of the loopback arrive there."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    def work() -> int:
        with (
            closing(socket.socket(family, socket.SOCK_DGRAM)) as here,
            closing(socket.socket(family, socket.SOCK_DGRAM)) as there,
        ):
            here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            here.bind((HOME[version], port))
            here.setblocking(False)
            there.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
            for number in range(count):
                there.sendto(struct.pack("!I", number), (HOME[version], port))
            got = 0
            try:
                while True:
                    here.recv(64)
                    got += 1
            except BlockingIOError:
                return got

    return box.namespace.run(work)


@pytest.mark.parametrize("version", [4, 6])
def test_only_what_matches_is_dropped_and_only_while_the_table_is_there(box: Sandbox, nft: Nft, version: int) -> None:
    conditions = rule(source_is(ip_address(HOME[version])), port_is("udp", "destination", 5001))
    nft.add(Table("inet", "lab-test", [Chain("prerouting", [rule(conditions, counter(), drop())])]))
    assert nft.tables("inet") == ["lab-test"]
    assert (arrived(box, version, 5001), arrived(box, version, 5002), arrived(box, 10 - version, 5001)) == (0, 1, 1)
    assert nft.packets("inet", "lab-test") == 1
    nft.delete("inet", "lab-test")
    assert nft.packets("inet", "lab-test") is None
    assert arrived(box, version, 5001) == 1
    nft.delete("inet", "lab-test")


def test_by_the_interface_that_it_came_in_through(box: Sandbox, nft: Nft) -> None:
    nft.add(
        Table(
            "inet",
            "lab-test",
            [Chain("prerouting", [rule(device_is(name), counter(), drop()) for name in ("l", "loo")])],
        )
    )
    assert arrived(box, 4, 5001) == 1
    nft.add(Table("inet", "lab-more", [Chain("prerouting", [rule(device_is("lo"), drop())])]))
    assert arrived(box, 4, 5001) == 0
    assert nft.packets("inet", "lab-test") == 0


def test_a_share_at_random(box: Sandbox, nft: Nft) -> None:
    nft.add(Table("inet", "lab-test", [Chain("prerouting", [rule(at_random(0.25), counter(), drop())])]))
    count = 4000
    got = arrived(box, 4, 5001, count)
    assert got + (nft.packets("inet", "lab-test") or 0) == count
    # Binomial with a deviation of 27: ten of them away is never.
    assert 0.75 * count - 270 < got < 0.75 * count + 270


def test_table_is_removed_with_its_owner_and_cannot_be_taken_over(box: Sandbox, nft: Nft) -> None:
    owner = box.namespace.run(Nft)
    out = Chain("egress", [rule(mark_is_not(77), drop())], "lo", priority=0)
    try:
        owner.add(Table("netdev", "lab-mine", [out]), owned=True)
    except NotSupported as error:
        pytest.skip(str(error))
    assert (arrived(box, 4, 5001), arrived(box, 4, 5001, mark=77)) == (0, 1)
    owner.close()
    assert nft.tables("netdev") == []
    assert arrived(box, 4, 5001) == 1


def test_forwarding_sends_out_elsewhere(box: Sandbox, nft: Nft) -> None:
    box.ip(("link", "add", {"ifname": "one", "kind": "veth", "peer": "other"}))
    for name in ("one", "other"):
        box.ip(("link", "set", {"dev": name, "state": "up"}))
    index = box.links()["one"]["index"]
    try:
        nft.add(Table("netdev", "lab-test", [Chain("egress", [rule(forward_to(index))], "lo", priority=0)]))
    except NotSupported as error:
        pytest.skip(str(error))
    assert arrived(box, 4, 5001) == 0
    nft.delete("netdev", "lab-test")
    assert arrived(box, 4, 5001) == 1
