"""The FIB of several routing tables: those of VRFs beside the main one, which precedes."""

from ipaddress import ip_network

from lab.observe.fib import Fib
from lab.observe.rtnetlink import MAIN_TABLE, UNICAST, RouteMessage

PREFIX = ip_network("10.9.0.0/24")
BLUE, OTHER = 10, 11
INTERFACES = {1: "eth1", 2: "tun0"}


def message(table: int, interface: int, *, new: bool = True) -> RouteMessage:
    return RouteMessage(new, PREFIX, ((None, interface),), table, UNICAST, 186, 20 if table == MAIN_TABLE else 0)


def test_route_of_a_vrf_is_known_with_its_table() -> None:
    fib = Fib(INTERFACES.__getitem__, tables=(MAIN_TABLE, BLUE))
    assert fib.apply(message(BLUE, 2), 1.0) is not None
    assert fib.apply(message(OTHER, 1), 1.0) is None
    used = fib.used(PREFIX)
    assert used is not None
    assert (used.table, used.interfaces) == (BLUE, ("tun0",))


def test_route_of_the_main_table_precedes_whatever_its_metric() -> None:
    fib = Fib(INTERFACES.__getitem__, tables=(MAIN_TABLE, BLUE))
    fib.apply(message(BLUE, 2), 1.0)
    fib.apply(message(MAIN_TABLE, 1), 2.0)
    assert [entry.table for entry in fib.entries()] == [BLUE, MAIN_TABLE]
    used = fib.used(PREFIX)
    assert used is not None
    assert used.table == MAIN_TABLE
    fib.apply(message(MAIN_TABLE, 1, new=False), 3.0)
    left = fib.used(PREFIX)
    assert left is not None
    assert left.table == BLUE


def test_only_the_main_table_is_followed_by_default() -> None:
    fib = Fib(INTERFACES.__getitem__)
    assert fib.apply(message(BLUE, 2), 1.0) is None
    assert fib.replace([message(BLUE, 2), message(MAIN_TABLE, 1)], 2.0)
    assert [entry.table for entry in fib.entries()] == [MAIN_TABLE]
