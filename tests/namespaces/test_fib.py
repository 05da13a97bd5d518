"""The FIB by events: routes added, deleted, and deleted without an event; waiting for changes."""

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from lab.core.expect import Expectation, wait_for
from lab.measure.instrument.changes import follow
from lab.measure.instrument.tape import Reading
from lab.observe import FibWatch, RouteEvent
from lab.observe.fib import subscribe
from lab.topology import Family, Prefix
from tests.helpers.sandbox import Sandbox, threads

Make = Callable[[], Sandbox]
SETTLED = 10.0

PREFIX: dict[Family, str] = {"ipv4": "10.9.0.0/24", "ipv6": "2001:db8:9::/64"}
HOP: dict[Family, str] = {"ipv4": "192.0.2.2", "ipv6": "2001:db8::2"}
HOP_2: dict[Family, str] = {"ipv4": "192.0.3.2", "ipv6": "2001:db8:3::2"}


@pytest.fixture
def box(sandbox: Make) -> Sandbox:
    """Two links, `w1` and `w2`, with a next hop on each."""
    made = sandbox()
    for number, (v4, v6) in enumerate((("192.0.2.1", "2001:db8::1"), ("192.0.3.1", "2001:db8:3::1")), start=1):
        here, there = f"w{number}", f"p{number}"
        made.ip(
            ("link", "add", {"ifname": here, "kind": "veth", "peer": {"ifname": there}}),
            ("link", "set", {"dev": here, "state": "up"}),
            ("link", "set", {"dev": there, "state": "up"}),
            ("addr", "add", {"dev": here, "address": v4, "prefixlen": 24}),
            ("addr", "add", {"dev": here, "address": v6, "prefixlen": 64, "family": 10, "flags": 2}),
        )
    return made


@pytest.fixture
def watch(box: Sandbox) -> Iterator[FibWatch]:
    with FibWatch(box.namespace) as fib:
        yield fib


def eventually(watch: FibWatch, what: str, met: Callable[[FibWatch], Any]) -> None:
    """Wait until the kernel's events have made a condition true."""
    wait_for(
        Expectation(
            what=what,
            node="sandbox",
            look=lambda: watch,
            met=lambda fib: bool(met(fib)),
            seen=lambda fib: ", ".join(map(str, fib.routes())),
            changed=watch.waiter(),
        ),
        within=SETTLED,
    )


def route(verb: str, prefix: str, **more: Any) -> tuple[str, str, dict[str, Any]]:
    return "route", verb, {"dst": prefix, "family": 10 if ":" in prefix else 2, **more}


def actions(events: list[RouteEvent], prefix: str) -> list[str]:
    return [event.action for event in events if event.entry.prefix == ip_network(prefix)]


def test_existing_route_is_known_at_once(box: Sandbox, family: Family) -> None:
    box.ip(route("add", PREFIX[family], gateway=HOP[family], proto=186))
    with FibWatch(box.namespace) as watch:
        entry = watch.route(ip_network(PREFIX[family]))
        assert entry is not None
        assert (entry.next_hops, entry.interfaces) == ((ip_address(HOP[family]),), ("w1",))
        assert entry.protocol == "bgp"
        assert watch.events() == []


def test_on_link_route_has_no_next_hop_and_local_routes_are_not_shown(watch: FibWatch) -> None:
    entry = watch.route(ip_network("192.0.2.0/24"))
    assert entry is not None
    assert (entry.next_hops, entry.interfaces, entry.protocol) == ((), ("w1",), "kernel")
    assert watch.route(ip_network("192.0.2.1/32")) is None
    assert watch.route(ip_network("2001:db8::1/128")) is None


def test_added_and_deleted_routes_are_events_in_order(box: Sandbox, watch: FibWatch, family: Family) -> None:
    prefix = ip_network(PREFIX[family])
    before = time.monotonic()
    box.ip(route("add", PREFIX[family], gateway=HOP[family]))
    eventually(watch, "the route", lambda fib: prefix in fib.routes(family))
    assert prefix not in watch.routes("ipv6" if family == "ipv4" else "ipv4")
    middle = time.monotonic()
    box.ip(route("del", PREFIX[family], gateway=HOP[family]))
    eventually(watch, "no route", lambda fib: prefix not in fib.routes())
    assert watch.route(prefix) is None

    events = [event for event in watch.events() if event.entry.prefix == prefix]
    assert [event.action for event in events] == ["add", "delete"]
    assert before <= events[0].time <= middle <= events[1].time <= time.monotonic()
    assert actions(watch.events(since=middle), PREFIX[family]) == ["delete"]


def test_route_with_the_lowest_metric_is_the_one_in_use(box: Sandbox, watch: FibWatch, family: Family) -> None:
    prefix = ip_network(PREFIX[family])
    box.ip(
        route("add", PREFIX[family], gateway=HOP[family], priority=20),
        route("add", PREFIX[family], gateway=HOP_2[family], priority=10),
        route("add", PREFIX[family], gateway=HOP[family], priority=30),
    )

    def used(fib: FibWatch) -> list[int]:
        entry = fib.route(prefix)
        shown = fib.routes().get(prefix)
        assert entry == shown
        return [] if entry is None else [entry.metric]

    eventually(watch, "three routes", lambda fib: len(actions(fib.events(), PREFIX[family])) == 3)
    assert used(watch) == [10]
    box.ip(route("del", PREFIX[family], gateway=HOP_2[family], priority=10))
    eventually(watch, "the second best", lambda fib: used(fib) == [20])


def test_default_route_is_added_and_deleted(box: Sandbox, watch: FibWatch, family: Family) -> None:
    anywhere = ip_network("0.0.0.0/0" if family == "ipv4" else "::/0")
    box.ip(route("add", str(anywhere), gateway=HOP[family]))
    eventually(watch, "a default route", lambda fib: anywhere in fib.routes(family))
    box.ip(route("del", str(anywhere), gateway=HOP[family]))
    eventually(watch, "no default route", lambda fib: anywhere not in fib.routes())


def multipath(family: Family) -> tuple[str, str, dict[str, Any]]:
    return route("add", PREFIX[family], multipath=[{"gateway": HOP[family]}, {"gateway": HOP_2[family]}])


def hops(watch: FibWatch, family: Family) -> set[tuple[str, str]]:
    entry = watch.route(ip_network(PREFIX[family]))
    return set() if entry is None else set(zip(map(str, entry.next_hops), entry.interfaces, strict=True))


def test_multipath_route_has_all_its_next_hops(box: Sandbox, watch: FibWatch, family: Family) -> None:
    both = {(HOP[family], "w1"), (HOP_2[family], "w2")}
    box.ip(multipath(family))
    eventually(watch, "both hops", lambda fib: hops(fib, family) == both)
    with FibWatch(box.namespace) as later:
        assert hops(later, family) == both
    box.ip(route("del", PREFIX[family]))
    eventually(watch, "no route", lambda fib: not hops(fib, family))


def test_multipath_route_keeps_the_other_next_hop_if_one_is_deleted(box: Sandbox, watch: FibWatch) -> None:
    box.ip(multipath("ipv6"))
    eventually(watch, "both hops", lambda fib: len(hops(fib, "ipv6")) == 2)
    box.ip(route("del", PREFIX["ipv6"], gateway=HOP["ipv6"]))
    eventually(watch, "one hop", lambda fib: hops(fib, "ipv6") == {(HOP_2["ipv6"], "w2")})
    box.ip(route("del", PREFIX["ipv6"], gateway=HOP_2["ipv6"]))
    eventually(watch, "no route", lambda fib: not hops(fib, "ipv6"))
    assert actions(watch.events(), PREFIX["ipv6"])[-2:] == ["add", "delete"]


def test_blackhole_that_replaces_a_route_deletes_it(box: Sandbox, watch: FibWatch) -> None:
    prefix = ip_network(PREFIX["ipv4"])
    box.ip(route("add", PREFIX["ipv4"], gateway=HOP["ipv4"]))
    eventually(watch, "the route", lambda fib: prefix in fib.routes())
    box.ip(route("replace", PREFIX["ipv4"], type="blackhole"))
    eventually(watch, "no route", lambda fib: prefix not in fib.routes())
    assert actions(watch.events(), PREFIX["ipv4"]) == ["add", "delete"]


@pytest.mark.parametrize(
    "how",
    [
        ("link", "set", {"dev": "w1", "state": "down"}),
        ("link", "del", {"dev": "w1"}),
        ("addr", "del", {"dev": "w1", "address": "192.0.2.1", "prefixlen": 24}),
    ],
    ids=["down", "deleted", "last-address-deleted"],
)
def test_routes_deleted_with_their_interface_are_deleted_without_an_event_of_the_kernel(
    box: Sandbox, watch: FibWatch, how: tuple[str, str, dict[str, Any]]
) -> None:
    routed, kept = ip_network(PREFIX["ipv4"]), ip_network("10.8.0.0/24")
    box.ip(route("add", str(routed), gateway=HOP["ipv4"]), route("add", str(kept), gateway=HOP_2["ipv4"]))
    eventually(watch, "the routes", lambda fib: {routed, kept} <= fib.routes().keys())
    box.ip(how)
    eventually(watch, "no route", lambda fib: routed not in fib.routes())
    eventually(watch, "no connected route", lambda fib: ip_network("192.0.2.0/24") not in fib.routes())
    assert kept in watch.routes()
    assert actions(watch.events(), str(routed)) == ["add", "delete"]


def nexthop_object(number: int, interface: int, gateway: str) -> bytes:
    """Return the request for a next hop object (RTM_NEWNEXTHOP, ip-nexthop(8)), which pyroute2 does not support."""
    attributes = struct.pack("=HHI", 8, 1, number) + struct.pack("=HHI", 8, 5, interface)
    attributes += struct.pack("=HH", 8, 6) + ip_address(gateway).packed
    return message(104, struct.pack("=BBBBI", socket.AF_INET, 0, 3, 0, 0) + attributes)


def route_by_object(prefix: IPv4Network, number: int) -> bytes:
    """Return the request for a route that refers to a next hop object, as FRR's do."""
    attributes = struct.pack("=HH", 8, 1) + prefix.network_address.packed + struct.pack("=HHI", 8, 30, number)
    return message(
        24, struct.pack("=BBBBBBBBI", socket.AF_INET, prefix.prefixlen, 0, 0, 254, 186, 0, 1, 0) + attributes
    )


def message(kind: int, body: bytes) -> bytes:
    """Return a message with NLM_F_REQUEST, NLM_F_ACK and NLM_F_CREATE."""
    return struct.pack("=IHHII", 16 + len(body), kind, 0x405, 1, 0) + body


def test_routes_with_a_next_hop_object_are_deleted_with_the_carrier(box: Sandbox, watch: FibWatch) -> None:
    by_object, plain = IPv4Network("10.7.0.0/24"), ip_network("10.8.0.0/24")
    index = box.links()["w1"]["index"]

    def make() -> None:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            for request in (nexthop_object(7, index, HOP["ipv4"]), route_by_object(by_object, 7)):
                kernel.send(request)
                (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
                assert error == 0, f"the kernel refused it: {os.strerror(-error)}"

    box.namespace.run(make)
    box.ip(route("add", str(plain), gateway=HOP["ipv4"]))
    eventually(watch, "both routes", lambda fib: {by_object, plain} <= fib.routes().keys())
    with box.namespace.run(subscribe) as events:
        before = watch.copy()
        box.ip(("link", "set", {"dev": "p1", "state": "down"}))
        eventually(watch, "one route gone", lambda fib: by_object not in fib.routes())
        readings = []
        with suppress(BlockingIOError):
            while True:
                readings.append(Reading(time.monotonic_ns(), 0, 0, events.recv(1 << 18, socket.MSG_DONTWAIT)))
    assert plain in watch.routes(), "a route without an object stays, with the flag linkdown"
    history = follow(readings, before, [by_object, plain], watch.interface)
    assert [(c.prefix, c.entry) for c in history.changes] == [(by_object, None)]


def test_name_of_a_deleted_interface_is_kept(box: Sandbox, watch: FibWatch) -> None:
    """The kernel's events for routes of a deleted interface contain its index only."""
    index = box.links()["w1"]["index"]
    gone = ip_network("192.0.2.0/24")
    box.ip(("link", "del", {"dev": "w1"}))
    eventually(watch, "the table to be read again", lambda fib: gone not in fib.routes())
    assert watch.interface(index) == "w1"


def test_route_is_deleted_by_one_event(box: Sandbox, watch: FibWatch) -> None:
    prefix = ip_network(PREFIX["ipv6"])
    box.ip(route("add", str(prefix), gateway=HOP["ipv6"]))
    eventually(watch, "the route", lambda fib: prefix in fib.routes())
    box.ip(("link", "set", {"dev": "w1", "state": "down"}))
    eventually(watch, "no route", lambda fib: prefix not in fib.routes())
    # A later event shows that all earlier ones have been applied.
    box.ip(route("add", "10.8.0.0/24", gateway=HOP_2["ipv4"]))
    eventually(watch, "a later route", lambda fib: ip_network("10.8.0.0/24") in fib.routes())
    assert actions(watch.events(), str(prefix)) == ["add", "delete"]


def test_interface_added_later_has_its_name(box: Sandbox, watch: FibWatch) -> None:
    box.ip(
        ("link", "add", {"ifname": "late", "kind": "veth", "peer": {"ifname": "late-peer"}}),
        ("link", "set", {"dev": "late", "state": "up"}),
        ("addr", "add", {"dev": "late", "address": "192.0.4.1", "prefixlen": 24}),
    )
    connected = ip_network("192.0.4.0/24")
    eventually(watch, "the connected route", lambda fib: fib.route(connected))
    entry = watch.route(connected)
    assert entry is not None
    assert entry.interfaces == ("late",)


def test_burst_of_2000_routes_is_complete(box: Sandbox, watch: FibWatch) -> None:
    v4 = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(1000)]
    v6 = [f"2001:db8:9:{n:x}::/64" for n in range(1000)]
    calls = [route("add", p, gateway=HOP["ipv4"]) for p in v4] + [route("add", p, gateway=HOP["ipv6"]) for p in v6]
    wanted: set[Prefix] = set(map(ip_network, [*v4, *v6]))
    box.ip(*calls)
    eventually(watch, "2000 routes", lambda fib: wanted <= fib.routes().keys())
    times = [event.time for event in watch.events()]
    assert len(times) >= 2000
    assert times == sorted(times)
    box.ip(*((what, "del", arguments) for what, _, arguments in calls))
    eventually(watch, "none of them", lambda fib: not wanted & fib.routes().keys())
    assert sum(event.action == "delete" for event in watch.events()) == 2000


def test_waiter_returns_for_a_change_before_its_call(box: Sandbox, watch: FibWatch) -> None:
    prefix = ip_network(PREFIX["ipv4"])
    wait = watch.waiter()
    box.ip(route("add", PREFIX["ipv4"], gateway=HOP["ipv4"]))
    eventually(watch, "the route", lambda fib: prefix in fib.routes())
    # The change precedes the wait, which still returns at once.
    started = time.monotonic()
    wait(60)
    assert time.monotonic() - started < 30
    # The next wait is for the next change.
    assert times_out(lambda: wait)


def test_new_waiter_ignores_earlier_changes(watch: FibWatch) -> None:
    assert times_out(watch.waiter)


def times_out(waiter: Callable[[], Callable[[float], None]]) -> bool:
    """Return whether a wait times out; IPv6 may make a few changes on new links first."""
    for _ in range(20):
        wait = waiter()
        started = time.monotonic()
        wait(0.2)
        if time.monotonic() - started >= 0.2:
            return True
    return False


def test_change_wakes_every_waiter(box: Sandbox, watch: FibWatch) -> None:
    prefix = ip_network(PREFIX["ipv4"])
    woken: list[float] = []

    def wait() -> None:
        eventually(watch, "the route", lambda fib: prefix in fib.routes())
        woken.append(time.monotonic())

    waiting = [threading.Thread(target=wait) for _ in range(8)]
    for thread in waiting:
        thread.start()
    box.ip(route("add", PREFIX["ipv4"], gateway=HOP["ipv4"]))
    for thread in waiting:
        thread.join(2 * SETTLED)
    assert len(woken) == 8


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_closed_watch_keeps_its_routes_and_leaves_no_descriptor_open(box: Sandbox) -> None:
    mine = f"fib-{box.namespace.pid}"
    before = open_files()
    watch = FibWatch(box.namespace)
    assert threads(mine)
    watch.close()
    watch.close()
    assert open_files() == before
    assert not threads(mine)
    assert ip_network("192.0.2.0/24") in watch.routes()


def test_watch_of_an_ended_node_can_be_closed(sandbox: Make) -> None:
    box, other = sandbox(), sandbox()
    mine = f"fib-{box.namespace.pid}"
    box.ip(("link", "add", {"ifname": "w", "kind": "veth", "peer": {"ifname": "p", "net_ns_pid": other.pid}}))
    before = open_files()
    with FibWatch(box.namespace) as watch:
        # The watch's socket keeps the namespace, which cannot be entered without a process.
        box.close()
        other.ip(("link", "del", {"dev": "p"}))
        wait_for(
            Expectation("the end of the watch", "sandbox", lambda: threads(mine), lambda alive: not alive),
            within=SETTLED,
        )
        assert watch.routes("ipv4") == {}
    assert open_files() < before, "the child's pipes and the watch's descriptors are closed"


def test_watch_shows_the_number_of_a_protocol_without_a_name(
    sandbox: Callable[[], Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def read(root: Path) -> dict[int, str]:
        asked.append(root)
        return {76: "sample"}

    monkeypatch.setattr("lab.observe.fib.read_route_protocols", read)
    box = sandbox()
    box.ip(("link", "set", {"index": 1, "state": "up"}))
    for number, prefix in ((76, "10.0.1.0/24"), (77, "10.0.2.0/24"), (77, "10.0.3.0/24")):
        box.ip(("route", "add", {"dst": prefix, "oif": 1, "proto": number}))
    with FibWatch(box.namespace) as watch:
        entries = [watch.route(ip_network(f"10.0.{n}.0/24")) for n in (1, 2, 3)]
    assert [entry.protocol for entry in entries if entry] == ["sample", "77", "77"]
    assert set(asked) == {Path(f"/proc/{box.pid}/root")}
    assert len(asked) <= 3, "an unknown number is looked up once"
