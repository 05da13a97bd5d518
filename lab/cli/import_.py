"""`lab import`: a topology out of directories that were copied from hosts."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.errors import BAD_INPUT
from lab.cli.options import AsJson, OpenVpnVersion
from lab.cli.output import print_json, print_table

if TYPE_CHECKING:
    from lab.importer import Import


def import_(
    hosts: Annotated[
        list[str],
        typer.Argument(metavar="HOST=DIR...", help="A host's name and the directory with its files."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The topology file, NAME.clab.yml.")],
    assume: Annotated[
        bool, typer.Option("--assume", help="Go on where files are missing; the topology has a comment for each.")
    ] = False,
    openvpn: OpenVpnVersion = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of an earlier import.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a topology of the files that were copied from hosts.

    The exit code is 2 if files are missing: they are listed, and nothing is written.
    """
    from lab.importer import import_hosts, parse_hosts, write_import

    made = import_hosts(parse_hosts(hosts), out, assume=assume, openvpn=openvpn)
    refused = bool(made.questions) and not assume
    written = [] if refused else write_import(made, force=force)
    if as_json:
        data = {f.name: getattr(made, f.name) for f in dataclasses.fields(made) if f.name != "files"}
        print_json(data | {"written": written})
    else:
        _show(made)
    if refused:
        if not as_json:
            _ask(made)
        raise typer.Exit(BAD_INPUT)
    print(f"{out} is written: check it, then `lab up {out}`", file=sys.stderr)


def _show(made: "Import") -> None:
    rows = [(t.client, t.remote, t.server, t.confidence, "\n".join(t.reasons)) for t in made.tunnels]
    if rows:
        print_table("tunnels", ["client", "remote", "server", "", "why"], rows)
    if made.routers:
        print(f"routing daemons: {', '.join(made.routers)}")
    if made.counterparts:
        print(f"made by the lab, not from your files: {', '.join(made.counterparts)}")
    print(f"OpenVPN {made.openvpn} in all nodes; keys and certificates that are not at hand are issued by `lab up`")
    for note in made.notes:
        print(f"- {note.node}: {note.text}" if note.node else f"- {note.text}")


def _ask(made: "Import") -> None:
    print("missing, so that nothing is written; add it, or go on with --assume:", file=sys.stderr)
    for question in made.questions:
        print(f"{question} (--assume: {question.assumption})", file=sys.stderr)
