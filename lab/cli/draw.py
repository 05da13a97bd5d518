"""`lab validate`, `lab graph`, `lab render`: what can be done with a topology alone."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.choose import (
    AsJson,
    LabName,
    NewName,
    OpenVpnVersion,
    Settings,
    TopologyName,
    attached,
    complete_topology,
    loaded,
)
from lab.cli.errors import BAD_INPUT, tell
from lab.cli.output import print_json
from lab.core.errors import InputError

if TYPE_CHECKING:
    from lab.topology import Topology


class Format(StrEnum):
    """How a graph is written."""

    MERMAID = "mermaid"
    SVG = "svg"


class Other(StrEnum):
    """Systems whose commands can be written."""

    ROUTEROS = "routeros"


def validate(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="TOPOLOGY...",
            help="Topology files, or names of those that come with the lab.",
            autocompletion=complete_topology,
        ),
    ],
    openvpn: OpenVpnVersion = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Check topology files, and tell all mistakes with their places."""
    from lab.topology import TopologyError
    from lab.tunnel import modes

    code = 0
    results = []
    for file in files:
        mistakes = []
        try:
            topology = loaded(file, openvpn=openvpn, settings=settings)
        except InputError as error:
            code = BAD_INPUT
            if isinstance(error, TopologyError):
                mistakes = [
                    {"line": m.place.line, "column": m.place.column, "key": m.key, "what": m.what, "hint": m.hint}
                    for m in error.mistakes
                ]
            else:
                mistakes = [{"line": None, "column": None, "key": "", "what": str(error), "hint": None}]
            if not as_json:
                tell(error)
        else:
            if not as_json:
                print(f"{file}: OK ({len(topology.nodes)} nodes, {len(topology.tunnels)} tunnels)")
                for tunnel in topology.tunnels:
                    if why := modes()[tunnel.mode].traits.deprecated:
                        print(f"{file}: {tunnel.name} is of a deprecated mode, {tunnel.mode}: {why}")
        results.append({"file": file, "ok": not mistakes, "mistakes": mistakes})
    if as_json:
        print_json(results)
    if code:
        raise typer.Exit(code)


def graph(
    topology: Annotated[
        str | None,
        typer.Argument(
            metavar="[TOPOLOGY]",
            help="A topology file or name; by default the running lab's.",
            autocompletion=complete_topology,
        ),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", "-f", help="What to write.")] = Format.MERMAID,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file, not to stdout.")
    ] = None,
    openvpn: OpenVpnVersion = None,
    settings: Settings = None,
    lab_name: LabName = None,
) -> None:
    """Draw a topology: nodes, links, addresses and tunnels."""
    from lab.render.graph import mermaid, svg

    drawn = loaded(topology, openvpn=openvpn, settings=settings) if topology else _running(lab_name)
    text = svg(drawn) if format_ is Format.SVG else mermaid(drawn)
    if output:
        output.write_text(text)
    else:
        sys.stdout.write(text)


def render(
    topology: TopologyName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="An empty directory, or a new one.")],
    name: NewName = None,
    openvpn: OpenVpnVersion = None,
    settings: Settings = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a directory that is not empty.")] = False,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Also write the topology with everything filled in.")
    ] = False,
    other: Annotated[
        Other | None, typer.Option("--for", help="Also write the commands of another system for tunnels to one.")
    ] = None,
) -> None:
    """Write all configurations, keys and scripts for hosts of your own, and start nothing."""
    from lab.render.howto import GUIDE, export

    wanted = loaded(topology, name=name, openvpn=openvpn, settings=settings)
    files = export(wanted, out, force=force, resolved=resolved, routeros=other is Other.ROUTEROS)
    print(f"{len(files)} files are in {out}: begin with {out / GUIDE}", file=sys.stderr)


def _running(lab_name: str | None) -> "Topology":
    with attached(lab_name) as lab:
        return lab.topology
