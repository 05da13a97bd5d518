"""RouterOS, MikroTik's system, at the other end of a tunnel: its commands, written and checked against its manual."""

from typing import Final

from lab.render.routeros.commands import commands
from lab.render.routeros.syntax import Command, Mistake, check, parse

COMMANDS: Final = "routeros.rsc"
"""The file of a node's commands; RouterOS reads such a file by `/import`."""

__all__ = ["COMMANDS", "Command", "Mistake", "check", "commands", "parse"]
