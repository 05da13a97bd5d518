"""RouterOS, MikroTik's system, at one end of a tunnel: its commands, rendered and checked against its manual."""

from typing import Final

from lab.render.routeros.commands import commands
from lab.render.routeros.syntax import Command, Mistake, check, parse

COMMANDS: Final = "routeros.rsc"
"""The name of a node's file of commands, which RouterOS reads by `/import`."""

__all__ = ["COMMANDS", "Command", "Mistake", "check", "commands", "parse"]
