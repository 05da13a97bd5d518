"""`lab status`: nodes, tunnels, sessions, faults and impaired links of a lab."""

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.errors import FAILED
from lab.cli.options import AsJson, LabName, attached
from lab.cli.output import Verdict, print_json, print_table, span, verdict

if TYPE_CHECKING:
    from lab.runtime.lab import Lab
    from lab.status.overview import LabReport, LinkReport, SessionReport, TunnelReport
    from lab.topology.own import Remark


class Format(StrEnum):
    """An output format of another tool."""

    CONTAINERLAB = "containerlab"


def status(
    lab_name: LabName = None,
    as_json: AsJson = False,
    format_: Annotated[
        Format | None, typer.Option("--format", "-f", help="Print containerlab's topology-data.json instead.")
    ] = None,
) -> None:
    """Show nodes, tunnels and sessions; the exit code is 1 if one is down."""
    with attached(lab_name) as lab:
        if format_ is not None:
            from lab.status.topology_data import topology_data

            print_json(topology_data(lab))
            return
        if not show(lab, as_json=as_json):
            raise typer.Exit(FAILED)


def show(lab: "Lab", *, as_json: bool, not_up: bool = False) -> bool:
    """Print a lab's status, with `not_up` also which sessions are down; return whether everything is up."""
    from lab.status.overview import report

    found = report(lab)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if not_up:
        print_not_up(found)
    return found.up


def _print(report: "LabReport") -> None:
    from lab.image.recipe import FAMILY
    from lab.status.overview import OUTSIDE

    print_table(
        f"Nodes of lab {report.lab}",
        ["node", "role", "AS", "state", "image"],
        [
            (
                n.name,
                f"{n.role} ({n.daemon})" if n.daemon else n.role,
                n.asn or "",
                verdict(n.up and n.health != "unhealthy", ", ".join(filter(None, (n.state, n.health)))),
                (n.image or "").removeprefix(FAMILY),
            )
            for n in report.nodes
        ],
    )
    if report.tunnels:
        print_table(
            "Tunnels",
            ["tunnel", "mode", "data by", "peer", "cipher", "#MTU", "#uptime", "state"],
            [
                (
                    t.name,
                    f"{t.mode}, {t.transport}" + (", deprecated" if t.deprecated else ""),
                    t.channel or "",
                    t.real_address or "",
                    t.cipher or "",
                    t.mtu or "",
                    span(t.uptime) if t.uptime is not None else "",
                    verdict(t.up, _state(t)),
                )
                for t in report.tunnels
            ],
        )
    if report.processes:
        print_table(
            "OpenVPN processes with no other end in this lab",
            ["process", "node", "file", "role", "state"],
            [(p.name, p.node, p.config, p.role, verdict(p.up, p.state)) for p in report.processes],
        )
    bfd = ["BFD"] if any(s.bfd is not None for s in report.sessions) else []
    vrf = ["VRF"] if any(s.vrf is not None for s in report.sessions) else []
    if report.sessions:
        print_table(
            "Sessions, with the prefixes received of each family",
            ["router", "neighbour", "address", "AS", "state", "#uptime", "#IPv4", "#IPv6", *bfd, *vrf],
            [
                (
                    s.node,
                    s.neighbor or OUTSIDE,
                    s.address or "link-local",
                    s.asn or s.protocol.upper(),
                    verdict(s.up, ": ".join(filter(None, (s.state or "unknown", s.reason)))),
                    span(s.uptime) if s.up else "",
                    s.prefixes_received.get("ipv4", "-"),
                    s.prefixes_received.get("ipv6", "-"),
                    *(_bfd(s) for _ in bfd),
                    *(s.vrf or "" for _ in vrf),
                )
                for s in report.sessions
            ],
        )
    if report.faults:
        print_table(
            "Active faults",
            ["#number", "kind", "what", "since"],
            [(f.number, f.kind, f.what, f.since.astimezone().isoformat(" ", "seconds")) for f in report.faults],
        )
    if report.links:
        print_links(report.links)
    if report.remarks:
        print_remarks(report.remarks)


def print_remarks(remarks: "Sequence[Remark]") -> None:
    """Print what differs in the lab from the user's own files."""
    print_table(
        "Your own files in this lab",
        ["node", "file", "kind", "what"],
        [(remark.node, remark.place, remark.kind, remark.what) for remark in remarks],
    )


def print_not_up(report: "LabReport") -> None:
    """Print each tunnel and session with the user's own files that is not up, with the reason in a log."""
    for tunnel in report.tunnels:
        if not tunnel.up:
            print(f"not up: the tunnel {tunnel.name}: {tunnel.reason}", file=sys.stderr)
    for s in report.sessions:
        if not s.up and s.neighbor:
            where = f" ({s.address})" if s.address else ""
            why = ": ".join(filter(None, (s.state or "unknown", s.reason)))
            print(f"not up: {s.node}: {s.protocol.upper()} with {s.neighbor}{where}: {why}", file=sys.stderr)


def _bfd(session: "SessionReport") -> Verdict | str:
    """Return the state of a session's BFD: `-` without BFD, `unknown` if its daemon does not answer."""
    if session.bfd is None and session.state is not None:
        return "-"
    return verdict(session.bfd is not None and session.bfd.up, session.bfd or "unknown")


def print_links(links: "Sequence[LinkReport]") -> None:
    """Print the impairments of links, and the mechanisms in force."""
    print_table(
        "Impaired links",
        ["from", "to", "impairment", "set by", "in force"],
        [
            (
                link.sender,
                link.receiver,
                link.asked or "nothing",
                "the topology" if link.declared else "lab impair" if link.asked else "",
                verdict(link.consistent, "; ".join(f"{m.name}: {m.does}" for m in link.in_force) or "nothing"),
            )
            for link in links
        ],
    )


def _state(tunnel: "TunnelReport") -> str:
    if not tunnel.up:
        return f"down: {tunnel.reason.removeprefix('down: ')}"
    return "up"
