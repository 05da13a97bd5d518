"""`lab status`: nodes, tunnels, sessions, faults and impaired links of a lab."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from lab.cli.errors import FAILED
from lab.cli.options import AsJson, LabName, attached
from lab.cli.output import print_json, print_table, span, verdict

if TYPE_CHECKING:
    from lab.runtime.lab import Lab
    from lab.status.overview import LabReport, LinkReport, TunnelReport


def status(lab_name: LabName = None, as_json: AsJson = False) -> None:
    """Show nodes, tunnels and sessions; the exit code is 1 if one is down."""
    with attached(lab_name) as lab:
        if not show(lab, as_json=as_json):
            raise typer.Exit(FAILED)


def show(lab: "Lab", *, as_json: bool) -> bool:
    """Print a lab's status, and return whether everything is up."""
    from lab.status.overview import report

    found = report(lab)
    if as_json:
        print_json(found)
    else:
        _print(found)
    return found.up


def _print(report: "LabReport") -> None:
    from lab.image.recipe import FAMILY

    print_table(
        f"Nodes of lab {report.lab}",
        ["node", "role", "AS", "state", "image"],
        [
            (
                n.name,
                f"{n.role} ({n.daemon})" if n.daemon else n.role,
                n.asn or "",
                verdict(n.up, n.state),
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
    bfd = ["BFD"] if any(s.bfd is not None for s in report.sessions) else []
    if report.sessions:
        print_table(
            "Sessions, with the prefixes received of each family",
            ["router", "neighbour", "address", "AS", "state", "#uptime", "#IPv4", "#IPv6", *bfd],
            [
                (
                    s.node,
                    s.neighbor,
                    s.address or "link-local",
                    s.asn or s.protocol.upper(),
                    verdict(s.up, ": ".join(filter(None, (s.state or "unknown", s.reason)))),
                    span(s.uptime) if s.up else "",
                    s.prefixes_received.get("ipv4", "-"),
                    s.prefixes_received.get("ipv6", "-"),
                    *(verdict(s.bfd is not None and s.bfd.up, s.bfd or "unknown") for _ in bfd),
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
