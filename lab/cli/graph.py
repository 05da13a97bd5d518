"""`lab graph`: a topology as a picture."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import LabName, OpenVpnVersion, Settings, attached, complete_topology, loaded
from lab.core.errors import EnvironmentBroken, InputError

if TYPE_CHECKING:
    from lab.topology import Topology, Tunnel
    from lab.tunnel import RunningTunnel


class Format(StrEnum):
    """The format of a graph."""

    MERMAID = "mermaid"
    SVG = "svg"


_SUFFIXES = {".svg": Format.SVG, ".mmd": Format.MERMAID, ".mermaid": Format.MERMAID}
"""The format that a file's name asks for."""


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
        raise InputError(f"--output {output}: the suffix is not a known format: use one of {known}, or give --format")
    return found


def _running(lab_name: str | None) -> "Topology":
    with attached(lab_name) as lab:
        tunnels = tuple(map(_completed, lab.tunnels.values()))
        return lab.topology.model_copy(update={"tunnels": tunnels})


def _completed(tunnel: "RunningTunnel") -> "Tunnel":
    try:
        return tunnel.completed()
    except EnvironmentBroken:  # its node is down
        return tunnel.tunnel
