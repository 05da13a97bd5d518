"""`lab logs`: the logs of a node."""

import sys
from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.exec import replace_process
from lab.cli.options import LabName, NodeName, attached
from lab.core.errors import InputError


def logs(
    node: NodeName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show new lines as they come, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each file.")] = 50,
    lab_name: LabName = None,
) -> None:
    """Show the logs of a node, and the output of its container."""
    with attached(lab_name) as lab:
        if node not in lab.topology.nodes:
            lab.instance(node)  # raises an error that lists the nodes
        files = sorted((lab.directory / "nodes" / node / "var/log").rglob("*.log"))
        instance = lab.nodes.get(node)
        printed = lab.engine.output(instance, lines) if instance else ""
    if printed or not files:
        print(f"==> output of the container {instance.container if instance else node} <==")
        print(printed or "(nothing)")
    for file in [] if follow else files:
        print(f"==> {file} <==")
        for line in _tail(file, lines):
            print(line)
    if follow and files:
        sys.stdout.flush()
        replace_process(["tail", "-n", str(lines), "-F", *map(str, files)])


def _tail(file: Path, lines: int) -> deque[str]:
    try:
        with file.open(errors="replace") as stream:
            return deque((line.rstrip("\n") for line in stream), maxlen=lines)
    except PermissionError as error:
        raise InputError(f"{file}: only root may read it: use sudo") from error
