"""`lab watch`: live status, as tables on a terminal and as lines elsewhere."""

import json
import sys
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsJson, LabName, attached
from lab.cli.output import plain, rich_table, span, verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lab.status.live import Change, RouteChange, Snapshot

_EVENTS_SHOWN = 12
_LINES_AT_ONCE = 100
"""Largest number of route events of one snapshot that are printed one by one."""


def watch(
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, max=3600, help="Seconds between two snapshots.")
    ] = 1.0,
    lab_name: LabName = None,
    as_json: AsJson = False,
) -> None:
    """Watch tunnels, sessions, prefixes and routes until Ctrl-C.

    On a terminal it shows tables, elsewhere and with --json one line for each change, after lines for the current
    state. It also ends when the lab is taken down.
    """
    from lab.status.live import Watch

    with attached(lab_name) as lab:
        try:
            looks = Watch(lab).snapshots(interval)
            if sys.stdout.isatty() and not as_json:
                _live(looks, interval)
            else:
                _lines(looks, as_json=as_json)
        except KeyboardInterrupt:  # the usual end of a watch
            return
        if as_json:
            print(json.dumps({"kind": "end", "subject": lab.name, "text": "taken down"}), flush=True)
        else:
            print(f"lab {lab.name} was taken down", flush=True)


def _live(looks: "Iterable[Snapshot]", interval: float) -> None:
    from rich.console import Console
    from rich.live import Live

    events: deque[RouteChange] = deque(maxlen=_EVENTS_SHOWN)
    with Live(console=Console(highlight=False), auto_refresh=False, vertical_overflow="crop") as live:
        for snapshot in looks:
            events.extend(snapshot.news)
            live.update(picture(snapshot, list(events), interval), refresh=True)


def _lines(looks: "Iterable[Snapshot]", *, as_json: bool) -> None:
    from lab.status.live import changes

    before: Snapshot | None = None
    for snapshot in looks:
        for line in change_lines(changes(before, snapshot), as_json=as_json):
            print(line)
        sys.stdout.flush()
        before = snapshot


def change_lines(changes: "Iterable[Change]", *, as_json: bool) -> list[str]:
    """Return a line for each change; byte counters, which change always, only as JSON."""
    if as_json:
        return [json.dumps(plain(change), ensure_ascii=False) for change in changes]
    lines = []
    routes = 0
    for change in changes:
        routes += change.kind == "route"
        if change.kind != "bytes" and not (change.kind == "route" and routes > _LINES_AT_ONCE):
            at = change.at.astimezone().isoformat(" ", "milliseconds")[11:23]
            lines.append(f"{at} {change.kind} {change.subject}: {change.text}")
    if routes > _LINES_AT_ONCE:
        lines.append(f"{lines[-1].split(' ')[0]} and {routes - _LINES_AT_ONCE} more routes")
    return lines


def picture(snapshot: "Snapshot", events: "list[RouteChange]", interval: float) -> "RenderableType":
    """Return the tables for a snapshot, with the last route events."""
    from rich.console import Group
    from rich.text import Text

    report = snapshot.report
    head = Text.assemble(
        ("lab ", ""),
        (report.lab, "bold"),
        (" ", ""),
        ("up", "green") if report.up else ("not all up", "bold red"),
        (f"   {snapshot.at.astimezone():%H:%M:%S}, every {interval:g} s; Ctrl-C ends", "dim"),
    )
    parts: list[RenderableType] = [head]
    if down := [f"{node.name} is {node.state}" for node in report.nodes if not node.up]:
        parts.append(Text(", ".join(down), style="bold red"))
    parts += [Text(f"fault {f.number}, {f.kind}: {f.what}", style="yellow") for f in report.faults]
    if report.tunnels:
        parts.append(
            rich_table(
                ["tunnel", "#to server", "#to client", "#uptime", "state"],
                [
                    (
                        tunnel.name,
                        _bytes(tunnel.bytes_to_server, rate.to_server if rate else None),
                        _bytes(tunnel.bytes_to_client, rate.to_client if rate else None),
                        span(tunnel.uptime) if tunnel.uptime is not None else "",
                        verdict(tunnel.up, "up" if tunnel.up else f"down: {tunnel.reason.removeprefix('down: ')}"),
                    )
                    for tunnel in report.tunnels
                    for rate in [snapshot.rates.get(tunnel.name)]
                ],
            )
        )
    if report.sessions:
        parts.append(
            rich_table(
                ["router", "neighbour", "state", "#uptime", "#IPv4", "#IPv6"],
                [
                    (
                        session.node,
                        session.neighbor,
                        verdict(session.up, ": ".join(filter(None, (session.state or "unknown", session.reason)))),
                        span(session.uptime) if session.up else "",
                        session.prefixes_received.get("ipv4", "-"),
                        session.prefixes_received.get("ipv6", "-"),
                    )
                    for session in report.sessions
                ],
            )
        )
    if snapshot.prefixes:
        rows = [(name, *counted.values()) for name, counted in snapshot.prefixes.items()]
        parts.append(rich_table(["learnt in the FIB of", "#IPv4", "#IPv6"], rows))
    if events:
        rows = [(f"{e.at.astimezone():%H:%M:%S.%f}"[:-3], e.node, str(e), e.entry.protocol) for e in reversed(events)]
        parts.append(rich_table(["route event at", "node", "route", "set by"], rows))
    return Group(*parts)


def _bytes(count: int | None, rate: float | None) -> str:
    """Return a byte counter and its rate; empty if unknown."""
    if count is None:
        return ""
    return f"{count:,}" + ("" if rate is None else f" ({rate:,.0f}/s)")
