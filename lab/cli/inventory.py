"""`lab inventory`: the nodes of a lab for Ansible or nornir."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import LabName, attached


class Format(StrEnum):
    """The program that reads the inventory."""

    ANSIBLE = "ansible"
    NORNIR = "nornir"


def inventory(
    format_: Annotated[Format, typer.Option("--format", "-f", help="The program that reads it.")] = Format.ANSIBLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")] = None,
    lab_name: LabName = None,
) -> None:
    """Print the nodes of a lab as an inventory for Ansible or nornir, as containerlab does."""
    from lab.status.inventory import FORMATS, hosts

    with attached(lab_name) as lab:
        text = FORMATS[format_](hosts(lab))
    if output:
        output.write_text(text)
    else:
        sys.stdout.write(text)
