"""`lab shell`: a shell in a node."""

import sys

from lab.cli.exec import become
from lab.cli.options import LabName, NodeName

_SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")


def shell(node: NodeName, lab_name: LabName = None) -> None:
    """Open a shell in a node."""
    become(lab_name, node, _SHELL, tty=sys.stdin.isatty() and sys.stdout.isatty())
