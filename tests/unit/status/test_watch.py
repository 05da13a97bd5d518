"""Snapshots of a lab and the changes between them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab.cli.watch import change_lines, picture
from lab.engine import NodeState
from lab.observe import FibEntry, RouteEvent
from lab.routing import SessionState
from lab.status.live import RouteChange, Snapshot, changes, rates, unreported_events
from lab.status.overview import FaultReport, LabReport, NodeStatus, SessionReport, TunnelReport
from lab.topology import Family

THEN = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = THEN + timedelta(seconds=2)
NEXT_HOP = ip_address("10.255.0.1")
ENTRY = FibEntry(ip_network("10.9.0.0/24"), (NEXT_HOP,), ("tun0",), "bgp", 20)


def tunnel(*, up: bool = True, received: int = 1000, since: datetime = THEN) -> TunnelReport:
    whole = TunnelReport("branch-hq", "iroute", "tcp", "hq", "branch", up, "" if up else "down: no client")
    if not up:
        return whole
    return replace(
        whole,
        real_address="198.51.100.5:40000",
        connected_since=since,
        uptime=3661.0,
        bytes_to_server=received,
        bytes_to_client=5_000_000,
    )


def session(state: SessionState = SessionState.ESTABLISHED, reason: str = "") -> SessionReport:
    received: Mapping[Family, int] = {"ipv4": 7, "ipv6": 8} if state.up else {}
    return SessionReport("branch", "hq", "bgp", NEXT_HOP, 65001, state, 60.0, received, reason)


def look(
    at: datetime = THEN,
    *,
    tunnels: tuple[TunnelReport, ...] = (tunnel(),),
    sessions: tuple[SessionReport, ...] = (session(),),
    faults: tuple[FaultReport, ...] = (),
    state: NodeState = NodeState.RUNNING,
    prefixes: int = 7,
    **more: Any,
) -> Snapshot:
    nodes = (NodeStatus("branch", "linux", state, "image", "router", "frr", 65002),)
    up = all(t.up for t in tunnels) and all(s.up for s in sessions)
    report = LabReport("one", Path("one.clab.yml"), Path("/lab"), up, nodes, tunnels, sessions, faults)
    return Snapshot(at, report, {"branch": {"ipv4": prefixes, "ipv6": 8}}, **more)


def shown(snapshot: Snapshot, events: list[RouteChange] | None = None) -> str:
    console = Console(file=StringIO(), width=200, height=60)
    console.print(picture(snapshot, events or [], 1.0))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def lines(before: Snapshot | None, after: Snapshot) -> list[str]:
    return [line.split(" ", 1)[1] for line in change_lines(changes(before, after), as_json=False)]


def news(action: Any = "add", at: datetime = LATER) -> RouteChange:
    return RouteChange(at, "branch", action, ENTRY)


def test_first_snapshot_reports_the_whole_state() -> None:
    assert lines(None, look()) == [
        "node branch: running",
        "tunnel branch-hq: up, 198.51.100.5:40000",
        "session branch-hq 10.255.0.1: Established",
        "prefixes branch: learnt IPv4 7, IPv6 8",
    ]


def test_each_change_is_reported_once() -> None:
    later = look(LATER, tunnels=(replace(tunnel(received=9999), uptime=3663.0),), sessions=(session(),))
    assert lines(look(), later) == []


@pytest.mark.parametrize(
    ("after", "line"),
    [
        (look(LATER, state=NodeState.PAUSED), "node branch: paused"),
        (look(LATER, tunnels=(tunnel(up=False),)), "tunnel branch-hq: down: no client"),
        (look(LATER, tunnels=(tunnel(since=LATER),)), "tunnel branch-hq: up, 198.51.100.5:40000"),
        (
            look(LATER, sessions=(session(SessionState.ACTIVE, "Hold Timer Expired"),)),
            "session branch-hq 10.255.0.1: Active: Hold Timer Expired",
        ),
        (look(LATER, prefixes=6), "prefixes branch: learnt IPv4 6, IPv6 8"),
        (look(LATER, news=(news(),)), "route branch: + 10.9.0.0/24 via 10.255.0.1 on tun0 (bgp)"),
        (look(LATER, news=(news("delete"),)), "route branch: - 10.9.0.0/24 via 10.255.0.1 on tun0 (bgp)"),
    ],
)
def test_change_is_one_line(after: Snapshot, line: str) -> None:
    assert lines(look(), after) == [line]


def test_fault_is_reported_when_applied_and_when_undone() -> None:
    fault = FaultReport(3, "blackhole", "packets vanish", {}, THEN)
    assert lines(look(), look(LATER, faults=(fault,))) == ["fault 3: blackhole: packets vanish"]
    assert lines(look(faults=(fault,)), look(LATER)) == ["fault 3: no longer in force"]


def test_changes_are_in_order_of_time() -> None:
    early = news(at=THEN + timedelta(seconds=1))
    assert [c.kind for c in changes(look(), look(LATER, prefixes=8, news=(early,)))] == ["route", "prefixes"]


def test_many_routes_are_one_line_with_their_number() -> None:
    many = lines(look(), look(LATER, news=(news(),) * 130))
    assert len(many) == 101
    assert many[-1] == "and 30 more routes"


def test_json_has_one_object_per_change_and_byte_counts() -> None:
    after = look(LATER, tunnels=(tunnel(received=1234),), news=(news(),))
    first, second = (json.loads(line) for line in change_lines(changes(look(), after), as_json=True))
    assert (first["kind"], first["subject"]) == ("bytes", "branch-hq")
    assert first["data"] == {"to_server": 1234, "to_client": 5_000_000}
    assert datetime.fromisoformat(second["at"]) == LATER
    assert second["data"] == {
        "action": "add",
        "prefix": "10.9.0.0/24",
        "next_hops": ["10.255.0.1"],
        "interfaces": ["tun0"],
        "protocol": "bgp",
    }


def test_rates_are_bytes_per_second_of_one_session() -> None:
    found = rates(look(), LATER, (tunnel(received=5000),))["branch-hq"]
    assert (found.to_server, found.to_client) == (2000, 0)  # 4000 more in 2 s
    assert rates(None, LATER, (tunnel(),)) == {}
    assert rates(look(), LATER, (tunnel(since=LATER),)) == {}
    assert rates(look(), LATER, (tunnel(up=False),)) == {}
    assert rates(look(tunnels=(tunnel(up=False),)), LATER, (tunnel(),)) == {}


def test_events_after_the_last_reported_one_are_unreported() -> None:
    events = [RouteEvent(1.0, "add", ENTRY), RouteEvent(1.0, "add", ENTRY), RouteEvent(1.0, "delete", ENTRY)]
    assert unreported_events(events, None) == events
    assert unreported_events(events, events[0]) == events[1:]
    assert unreported_events(events, events[2]) == []
    # More came than are kept: none of these was change_lines.
    assert unreported_events(events, RouteEvent(0.5, "add", ENTRY)) == events


def test_picture_has_tunnels_sessions_prefixes_and_routes() -> None:
    snapshot = look(LATER, rates=rates(look(), LATER, (tunnel(received=5000),)))
    text = shown(snapshot, [news(), news("delete")])
    for part in (
        *("lab one up", "every 1 s; Ctrl-C ends"),
        *("branch-hq", "1,000 (2,000/s)", "5,000,000 (0/s)", "1:01:01"),
        *("Established", "0:01:00"),
        *("learnt in the FIB of", "7", "8"),
        *("+ 10.9.0.0/24 via 10.255.0.1 on tun0", "- 10.9.0.0/24"),
    ):
        assert part in text, text
    # The newest route event stands first.
    assert text.index("- 10.9.0.0/24") < text.index("+ 10.9.0.0/24")


def test_picture_shows_what_is_down_and_why() -> None:
    fault = FaultReport(3, "blackhole", "packets vanish", {}, THEN)
    down = look(
        tunnels=(tunnel(up=False),),
        sessions=(session(SessionState.IDLE, "Hold Timer Expired"),),
        faults=(fault,),
        state=NodeState.PAUSED,
    )
    text = shown(down)
    for part in (
        *("not all up", "branch is paused", "down: no client", "Idle: Hold Timer Expired"),
        "fault 3, blackhole: packets vanish",
    ):
        assert part in text, text
