"""`lab render`: configurations, keys and scripts for real hosts."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import NewName, OpenVpnVersion, RunScripts, Settings, TopologyName, loaded


class Other(StrEnum):
    """Systems for which the lab can write files."""

    CONTAINERLAB = "containerlab"
    FREEBSD = "freebsd"
    OPENBSD = "openbsd"
    ROUTEROS = "routeros"


def render(
    topology: TopologyName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new or empty directory.")],
    name: NewName = None,
    openvpn: OpenVpnVersion = None,
    settings: Settings = None,
    run_scripts: RunScripts = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a directory that is not empty.")] = False,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Also write the topology with all defaults filled in.")
    ] = False,
    other: Annotated[
        Other | None,
        typer.Option(
            "--for",
            help="Also write files for another system: containerlab's topology, or the end of a tunnel.",
        ),
    ] = None,
) -> None:
    """Write all configurations, keys and scripts for real hosts; start nothing."""
    from lab.render.howto import GUIDE, export

    wanted = loaded(topology, name=name, openvpn=openvpn, settings=settings, run_scripts=run_scripts)
    files = export(wanted, out, force=force, resolved=resolved, target=other)
    print(f"{len(files)} files are in {out}: begin with {out / GUIDE}", file=sys.stderr)
