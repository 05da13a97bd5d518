"""Route counts, compared with the changes made in a network namespace of the test."""

import struct
from collections.abc import Callable

import pytest
from pyroute2 import IPRoute

from lab.observe.route_count import RouteCount, count_in_dump, count_routes
from lab.topology import Family
from tests.helpers.sandbox import Sandbox

BGP, STATIC = 186, 4
STALLED = 0.3
"""Seconds; the kernel has sent all notifications before a change returns."""


@pytest.fixture
def node(sandbox: Callable[[], Sandbox]) -> Sandbox:
    box = sandbox()
    change(box, lambda ip: ip.link("set", index=1, state="up"))
    return box


def change(box: Sandbox, work: Callable[[IPRoute], object]) -> None:
    def inside() -> None:
        with IPRoute() as ip:
            work(ip)

    box.namespace.run(inside)


def routes(verb: str, prefixes: list[str], proto: int = BGP, **more: object) -> Callable[[IPRoute], object]:
    return lambda ip: [ip.route(verb, dst=p, oif=1, proto=proto, **more) for p in prefixes]


FOUR = [f"10.0.{n}.0/24" for n in range(200)]
SIX = [f"fd00:{n:x}::/48" for n in range(200)]


@pytest.mark.parametrize("prefixes", [FOUR, SIX], ids=["ipv4", "ipv6"])
def test_added_and_deleted_routes_are_counted(node: Sandbox, prefixes: list[str]) -> None:
    family: Family = "ipv4" if prefixes is FOUR else "ipv6"
    with RouteCount(node.namespace, family, BGP) as count:
        change(node, routes("add", prefixes))
        counted = count.follow(added=200, stalled=STALLED)
    assert (counted.added, counted.removed, counted.lost) == (200, 0, False)
    assert counted.first is not None
    assert counted.last is not None
    assert counted.first <= counted.last
    assert count_routes(node.namespace, family, BGP) == 200
    with RouteCount(node.namespace, family, BGP) as count:
        change(node, routes("del", prefixes[:150]))
        counted = count.follow(removed=150, stalled=STALLED)
    assert (counted.added, counted.removed) == (0, 150)
    assert count_routes(node.namespace, family, BGP) == 50


def test_routes_of_other_protocols_families_tables_and_types_are_not_counted(node: Sandbox) -> None:
    with RouteCount(node.namespace, "ipv4", BGP) as count:
        change(node, routes("add", FOUR[:3]))
        change(node, routes("add", FOUR[3:9], proto=STATIC))
        change(node, routes("add", FOUR[9:12], table=100))
        change(node, routes("add", SIX[:5]))
        change(node, lambda ip: ip.route("add", dst="10.9.0.0/24", type="blackhole", proto=BGP))
        counted = count.follow(added=4, stalled=STALLED)
    assert counted.added == 3
    assert count_routes(node.namespace, "ipv4", BGP) == 3


def test_replaced_route_is_not_counted_as_added(node: Sandbox) -> None:
    change(node, routes("add", FOUR[:2]))
    with RouteCount(node.namespace, "ipv4", BGP) as count:
        change(node, routes("replace", FOUR[:3], metrics={"mtu": 1400}))
        counted = count.follow(added=3, stalled=STALLED)
    assert counted.added == 1


def test_table_is_dumped_if_notifications_were_lost(node: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.observe.route_count._BUFFER", 4096)
    with RouteCount(node.namespace, "ipv4", BGP) as count:
        change(node, routes("add", FOUR))
        counted = count.follow(added=200, stalled=STALLED)
    assert (counted.added, counted.lost) == (200, True)
    with RouteCount(node.namespace, "ipv4", BGP) as count:
        change(node, routes("del", FOUR))
        counted = count.follow(removed=200, stalled=STALLED)
    assert (counted.removed, counted.lost) == (200, True)


def test_count_without_changes_is_zero(node: Sandbox) -> None:
    with RouteCount(node.namespace, "ipv4", BGP) as count:
        counted = count.follow(added=1, stalled=0.05)
    assert (counted.added, counted.first, counted.last) == (0, None, None)


def test_refused_dump_is_an_error() -> None:
    with pytest.raises(OSError, match="refused"):
        count_in_dump(struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -95), BGP)
