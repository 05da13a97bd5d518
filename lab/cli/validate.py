"""`lab validate`: check topology files."""

from typing import Annotated

import typer

from lab.cli.errors import BAD_INPUT, tell
from lab.cli.options import AsJson, OpenVpnVersion, Settings, complete_topology, loaded
from lab.cli.output import print_json
from lab.core.errors import InputError


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
