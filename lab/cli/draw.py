"""`lab validate`, `lab graph`, `lab render`: commands that need a topology and no running lab."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.errors import BAD_INPUT, tell
from lab.cli.options import (
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
from lab.cli.output import print_json
from lab.core.errors import InputError

if TYPE_CHECKING:
    from lab.topology import Topology


class Format(StrEnum):
    """The format of a graph."""

    MERMAID = "mermaid"
    SVG = "svg"


_SUFFIXES = {".svg": Format.SVG, ".mmd": Format.MERMAID, ".mermaid": Format.MERMAID}
"""The format that a file's name asks for."""


class Other(StrEnum):
    """Systems for which the lab can write commands."""

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
    """Check topology files and list all mistakes with line and column."""
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
                        print(f"{file}: {tunnel.name} uses the deprecated mode {tunnel.mode}: {why}")
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
    format_: Annotated[
        Format | None,
        typer.Option("--format", "-f", help="The format; by default by the name of FILE, and mermaid to stdout."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file: *.svg, *.mmd or *.mermaid.")
    ] = None,
    openvpn: OpenVpnVersion = None,
    settings: Settings = None,
    lab_name: LabName = None,
) -> None:
    """Draw a topology: nodes, links, addresses and tunnels."""
    from lab.render.graph import mermaid, svg

    wanted = format_ or _format_of(output)
    drawn = loaded(topology, openvpn=openvpn, settings=settings) if topology else _running(lab_name)
    text = svg(drawn) if wanted is Format.SVG else mermaid(drawn)
    if output:
        output.write_text(text)
    else:
        sys.stdout.write(text)


def _format_of(output: Path | None) -> Format:
    if output is None:
        return Format.MERMAID
    if (found := _SUFFIXES.get(output.suffix.lower())) is None:
        known = ", ".join(_SUFFIXES)
        raise InputError(f"--output {output}: the name tells no format: end it in one of {known}, or give --format")
    return found


def render(
    topology: TopologyName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new or empty directory.")],
    name: NewName = None,
    openvpn: OpenVpnVersion = None,
    settings: Settings = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a directory that is not empty.")] = False,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Also write the topology with all defaults filled in.")
    ] = False,
    other: Annotated[
        Other | None, typer.Option("--for", help="Also write commands for another system at the end of a tunnel.")
    ] = None,
) -> None:
    """Write all configurations, keys and scripts for real hosts; start nothing."""
    from lab.render.howto import GUIDE, export

    wanted = loaded(topology, name=name, openvpn=openvpn, settings=settings)
    files = export(wanted, out, force=force, resolved=resolved, routeros=other is Other.ROUTEROS)
    print(f"{len(files)} files are in {out}: begin with {out / GUIDE}", file=sys.stderr)


def _running(lab_name: str | None) -> "Topology":
    with attached(lab_name) as lab:
        return lab.topology
