"""`lab exec`, `lab shell`, `lab logs`: look into a node."""

import os
import sys
from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.choose import LabName, NodeName, attached
from lab.core.errors import EnvironmentBroken, InputError

_SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")


def exec_(
    node: NodeName,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run, after `--`.")],
    lab_name: LabName = None,
) -> None:
    """Run a command in a node; its input, output and exit code are passed through."""
    _become(lab_name, node, command, tty=False)


def shell(node: NodeName, lab_name: LabName = None) -> None:
    """Open a shell in a node."""
    _become(lab_name, node, _SHELL, tty=sys.stdin.isatty() and sys.stdout.isatty())


def logs(
    node: NodeName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each file.")] = 50,
    lab_name: LabName = None,
) -> None:
    """Show the logs of a node's OpenVPN and FRR, and what its container printed."""
    with attached(lab_name) as lab:
        if node not in lab.topology.nodes:
            lab.instance(node)  # says which nodes there are
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
        _replace(["tail", "-n", str(lines), "-F", *map(str, files)])


def _become(lab_name: str | None, node: str, argv: "list[str] | tuple[str, ...]", *, tty: bool) -> None:
    with attached(lab_name) as lab:
        command = lab.engine.attach_argv(lab.instance(node), list(argv), tty=tty)
    _replace(command)


def _replace(argv: list[str]) -> None:
    """Let another program take this process's place: streams, signals and the exit code are then its own."""
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except FileNotFoundError as error:
        raise EnvironmentBroken(f"{argv[0]!r} is not installed: install it") from error


def _tail(file: Path, lines: int) -> deque[str]:
    try:
        with file.open(errors="replace") as stream:
            return deque((line.rstrip("\n") for line in stream), maxlen=lines)
    except PermissionError as error:
        raise InputError(f"{file}: only root may read it: use sudo") from error
