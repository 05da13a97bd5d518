"""`lab validate`: check topology files."""

from typing import Annotated

import typer

from lab.cli.errors import BAD_INPUT, tell
from lab.cli.options import AsJson, OpenVpnVersion, RunScripts, Settings, complete_topology, loaded
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
    run_scripts: RunScripts = False,
    as_json: AsJson = False,
) -> None:
    """Check topology files and list all mistakes with line and column."""
    from lab.topology import TopologyError
    from lab.tunnel import mode_of

    code = 0
    results = []
    for file in files:
        mistakes = []
        remarks = []
        try:
            topology = loaded(file, openvpn=openvpn, settings=settings, run_scripts=run_scripts)
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
            remarks = [remark.model_dump(mode="json") for remark in topology.remarks]
            if not as_json:
                for remark in topology.remarks:
                    print(f"{remark.place}: {remark.node}: {remark.kind}: {remark.what}")
                print(f"{file}: OK ({len(topology.nodes)} nodes, {len(topology.tunnels)} tunnels)")
                for tunnel in topology.tunnels:
                    if why := mode_of(tunnel).traits.deprecated:
                        print(f"{file}: {tunnel.name} uses the deprecated mode {tunnel.mode}: {why}")
        results.append({"file": file, "ok": not mistakes, "mistakes": mistakes, "remarks": remarks})
    if as_json:
        print_json(results)
    if code:
        raise typer.Exit(code)
