"""`lab exec`: run a command in a node."""

import os
from typing import Annotated

import typer

from lab.cli.options import LabName, NodeName, attached
from lab.core.errors import EnvironmentBroken


def exec_(
    node: NodeName,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run, after `--`.")],
    lab_name: LabName = None,
) -> None:
    """Run a command in a node, with its own input, output and exit code."""
    become(lab_name, node, command, tty=False)


def become(lab_name: str | None, node: str, argv: "list[str] | tuple[str, ...]", *, tty: bool) -> None:
    with attached(lab_name) as lab:
        command = lab.engine.attach_argv(lab.instance(node), list(argv), tty=tty)
    replace_process(command)


def replace_process(argv: list[str]) -> None:
    """Replace this process by another program, which inherits its streams, signals and exit code."""
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except FileNotFoundError as error:
        raise EnvironmentBroken(f"{argv[0]!r} is not installed: install it") from error
