"""Verdicts of expectations on the reports of routers with fixed answers."""

import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.check.expectations import route, session
from lab.check.kinds import EXPECTATIONS
from lab.check.model import Result, Start, Verdict
from lab.observe.fib import FibEntry
from lab.routing import BfdState, Neighbor
from lab.routing import Path as RibPath
from lab.routing.model import SessionState


class Router(SimpleNamespace):
    """A router with fixed sessions and routes."""

    running = SimpleNamespace(files=Path("/logs/branch"))

    def __init__(self, neighbors: Sequence[Neighbor] = (), fib: Sequence[FibEntry] = (), rib: Sequence[RibPath] = ()):
        self.neighbors = neighbors
        routes = {entry.prefix: entry for entry in fib}
        self.fib = SimpleNamespace(routes=lambda: routes, waiter=lambda: lambda seconds: time.sleep(min(0.01, seconds)))
        self.paths = rib

    def neighbors_at(self, other: str) -> Sequence[Neighbor]:
        return self.neighbors

    def rib(self, family: str) -> dict[Any, tuple[RibPath, ...]]:
        version = 4 if family == "ipv4" else 6
        found: dict[Any, tuple[RibPath, ...]] = {}
        for path in self.paths:
            if path.prefix.version == version:
                found[path.prefix] = (*found.get(path.prefix, ()), path)
        return found


@pytest.fixture(autouse=True)
def _no_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "explain", lambda lab, question: f"asked: {question}")
    monkeypatch.setattr(route, "explain", lambda lab, question: f"asked: {question}")


def judged(router: Router, kind: str, **keys: Any) -> Result:
    """Return the result of an expectation that is looked at until it cannot become true."""
    lab: Any = SimpleNamespace(router=lambda name: router, node=lambda name: router)
    expected = EXPECTATIONS[kind].model_validate({"node": "branch", **keys})
    return expected.check(lab, Start(time.monotonic(), within=0))


def holds(router: Router, kind: str, **keys: Any) -> bool:
    return judged(router, kind, **keys).good


# --- sessions ----------------------------------------------------------------------------------------------


def neighbor(state: SessionState = SessionState.ESTABLISHED, bfd: BfdState | None = None, **received: int) -> Neighbor:
    counts: Any = received if state.up else {}
    return Neighbor(ip_address("10.255.0.1"), 65001, state, 1.0, 1, counts, "Hold Timer Expired", bfd=bfd)


@pytest.mark.parametrize(
    ("keys", "good"),
    [
        ({}, True),
        ({"state": "down"}, False),
        ({"families": ["ipv4", "ipv6"]}, True),
        ({"families": ["ipv4"]}, False),
        ({"received": {"ipv4": 2}}, True),
        ({"received": {"ipv4": 1}}, False),
        ({"received": {"ipv4": 2, "ipv6": 1}}, False),
        ({"bfd": "up"}, False),
    ],
)
def test_established_session(keys: dict[str, Any], good: bool) -> None:
    assert holds(Router([neighbor(ipv4=2, ipv6=0)]), "session", session="hq", **keys) is good


def test_family_that_was_not_negotiated_is_missing() -> None:
    router = Router([neighbor(ipv4=2)])
    assert not holds(router, "session", session="hq", families=["ipv4", "ipv6"])
    assert not holds(router, "session", session="hq", received={"ipv6": 0})
    assert holds(router, "session", session="hq", families=["ipv4"])


def test_sessions_of_both_families_count_together_and_all_must_be_up() -> None:
    up = Router([neighbor(ipv4=1), neighbor(ipv6=2)])
    assert holds(up, "session", session="hq", families=["ipv4", "ipv6"], received={"ipv4": 1, "ipv6": 2})
    half = Router([neighbor(ipv4=1), neighbor(SessionState.ACTIVE)])
    assert not holds(half, "session", session="hq")
    assert not holds(half, "session", session="hq", state="down")


def test_session_that_is_down_has_its_cause() -> None:
    found = judged(Router([neighbor(SessionState.ACTIVE)]), "session", session="hq")
    assert (found.verdict, found.seen) == (Verdict.FAILED, "Active, last reset: Hold Timer Expired")
    assert found.cause == "asked: Why is the session of branch with hq not established?"
    assert found.logs == Path("/logs/branch")
    assert holds(Router([neighbor(SessionState.ACTIVE)]), "session", session="hq", state="down")


@pytest.mark.parametrize(("state", "up"), [(BfdState.UP, True), (BfdState.DOWN, False), (BfdState.INIT, False)])
def test_bfd_session(state: BfdState, up: bool) -> None:
    router = Router([neighbor(bfd=state, ipv4=1)])
    assert holds(router, "session", session="hq", bfd="up") is up
    assert holds(router, "session", session="hq", bfd="down") is not up


# --- routes ------------------------------------------------------------------------------------------------


def entry(prefix: str, *hops: str, devices: Sequence[str] = ("tun0",), protocol: str = "bgp") -> FibEntry:
    return FibEntry(ip_network(prefix), tuple(map(ip_address, hops)), tuple(devices), protocol, 20)


def path(prefix: str, hop: str, **more: Any) -> RibPath:
    hops: tuple[IPv4Address | IPv6Address, ...] = (ip_address(hop),)
    facts = {"as_path": (65001,), "peer": ip_address(hop), "best": True, "valid": True, **more}
    return RibPath(ip_network(prefix), hops, **facts)


ONE = entry("10.1.0.0/24", "10.255.0.1")
SIX = entry("2001:db8:1::/64", "2001:db8:ff::1")
TWO_WAYS = entry("10.1.0.0/24", "10.255.0.1", "10.255.0.5", devices=("tun0", "tun1"))


@pytest.mark.parametrize(
    ("fib", "keys", "good"),
    [
        ([ONE], {}, True),
        ([], {}, False),
        ([ONE], {"route": ["10.1.0.0/24", "10.2.0.0/24"]}, False),
        ([ONE], {"interface": "tun0"}, True),
        ([ONE], {"interface": "tun1"}, False),
        ([ONE], {"interface": ["tun0", "tun1"]}, False),
        ([TWO_WAYS], {"interface": "tun0"}, False),
        ([TWO_WAYS], {"interface": ["tun1", "tun0"]}, True),
        ([ONE], {"next-hop": "10.255.0.1"}, True),
        ([ONE], {"next-hop": "10.255.0.5"}, False),
        ([TWO_WAYS], {"next-hop": "10.255.0.1"}, False),
        ([TWO_WAYS], {"next-hop": ["10.255.0.1", "10.255.0.5"]}, True),
        ([ONE, SIX], {"route": ["10.1.0.0/24", "2001:db8:1::/64"], "next-hop": ["10.255.0.1", "2001:db8:ff::1"]}, True),
        ([ONE, SIX], {"exactly": True}, True),  # the other prefix is of another family
        ([ONE, entry("10.3.0.0/24", "10.255.0.1")], {"exactly": True}, False),
        ([ONE, entry("10.2.0.0/24", devices=["eth2"], protocol="kernel")], {"exactly": True}, True),
        ([ONE, entry("198.51.100.0/24", "198.51.100.6", protocol="boot")], {"exactly": True}, True),
    ],
)
def test_route_in_the_fib(fib: list[FibEntry], keys: dict[str, Any], good: bool) -> None:
    assert holds(Router(fib=fib), "route", **{"route": "10.1.0.0/24", **keys}) is good


OTHER = path("10.1.0.0/24", "10.255.0.5", best=False, as_path=(65009, 65001))


@pytest.mark.parametrize(
    ("rib", "keys", "good"),
    [
        ([path("10.1.0.0/24", "10.255.0.1")], {}, True),
        ([], {}, False),
        ([path("10.1.0.0/24", "10.255.0.1", peer=None)], {}, False),  # its own
        ([path("10.1.0.0/24", "10.255.0.1", valid=False)], {}, False),
        ([OTHER, path("10.1.0.0/24", "10.255.0.1")], {"as-path": [65001]}, True),
        ([OTHER, path("10.1.0.0/24", "10.255.0.1")], {"as-path": [65009, 65001]}, False),
        ([OTHER, path("10.1.0.0/24", "10.255.0.1")], {"next-hop": "10.255.0.1"}, True),
        ([OTHER, path("10.1.0.0/24", "10.255.0.1")], {"next-hop": "10.255.0.5"}, False),
        ([path("10.1.0.0/24", "10.255.0.1", med=50)], {"med": 50}, True),
        ([path("10.1.0.0/24", "10.255.0.1")], {"med": 0}, False),  # the daemon does not report it
        ([path("10.1.0.0/24", "10.255.0.1", local_pref=200)], {"local-pref": 200}, True),
        ([path("10.1.0.0/24", "10.255.0.1", local_pref=100)], {"local-pref": 200}, False),
    ],
)
def test_route_in_the_rib(rib: list[RibPath], keys: dict[str, Any], good: bool) -> None:
    assert holds(Router(rib=rib), "route", route="10.1.0.0/24", **{"in": "rib", **keys}) is good


@pytest.mark.parametrize(
    ("has", "wanted", "good"),
    [
        ({(65001, 100), (65001, 1, 2)}, ["65001:100"], True),
        ({(65001, 100)}, ["65001:100", "65001:1:2"], False),
        ({(65535, 65281)}, ["no-export"], True),
        (set(), ["no-export"], False),
    ],
)
def test_route_has_communities(has: set[tuple[int, ...]], wanted: list[str], good: bool) -> None:
    router = Router(rib=[path("10.1.0.0/24", "10.255.0.1")])
    state = SimpleNamespace(best=SimpleNamespace(communities=frozenset(has)))
    router.plan = None
    router.daemon = SimpleNamespace(inquiry=lambda running, plan: SimpleNamespace(route=lambda prefix: state))
    assert holds(router, "route", route="10.1.0.0/24", communities=wanted, **{"in": "rib"}) is good


def test_both_means_both_tables() -> None:
    rib = [path("10.1.0.0/24", "10.255.0.1")]
    keys: dict[str, Any] = {"route": "10.1.0.0/24", "in": "both"}
    assert holds(Router(fib=[ONE], rib=rib), "route", **keys)
    assert not holds(Router(fib=[ONE]), "route", **keys)
    found = judged(Router(rib=rib), "route", **keys)
    assert (found.verdict, found.seen) == (Verdict.FAILED, "10.1.0.0/24 is not in the FIB")


def test_cause_is_looked_for_where_a_route_is_missing_and_not_where_it_differs() -> None:
    missing = judged(Router(fib=[ONE]), "route", route=["10.1.0.0/24", "10.2.0.0/24"])
    assert "10.2.0.0/24" in missing.cause
    assert "10.1.0.0/24" not in missing.cause
    assert judged(Router(fib=[ONE]), "route", route="10.1.0.0/24", interface="eth1").cause == ""


@pytest.mark.parametrize(
    ("where", "fib", "rib", "good"),
    [
        ("fib", [], [], True),
        ("fib", [ONE], [], False),
        ("fib", [], [path("10.1.0.0/24", "10.255.0.1")], True),
        ("rib", [], [path("10.1.0.0/24", "10.255.0.1")], False),
        ("rib", [ONE], [], True),
        ("both", [ONE], [], False),
        ("both", [], [path("10.1.0.0/24", "10.255.0.1")], False),
        ("both", [entry("0.0.0.0/0", "10.255.0.1")], [], True),  # a wider prefix is another route
    ],
)
def test_no_route(where: str, fib: list[FibEntry], rib: list[RibPath], good: bool) -> None:
    assert holds(Router(fib=fib, rib=rib), "no-route", **{"no-route": "10.1.0.0/24", "in": where}) is good
