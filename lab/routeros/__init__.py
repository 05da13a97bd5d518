"""RouterOS, MikroTik's system, at the other end of a tunnel: its commands, written and checked against its manual."""

from lab.routeros.commands import commands
from lab.routeros.syntax import Command, Mistake, check, parse

__all__ = ["Command", "Mistake", "check", "commands", "parse"]
