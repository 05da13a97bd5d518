"""The program `lab`: one group whose commands are imported when they are called."""

import os
from collections.abc import Iterator, MutableMapping
from functools import partial
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from lab.cli.commands import COMMANDS
from lab.cli.errors import Commands


class LazyCommands(MutableMapping[str, Any]):
    """Commands by name, each imported when it is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*COMMANDS, *self._loaded)))

    def __len__(self) -> int:
        return len({*COMMANDS, *self._loaded})


class LabCommands(Commands):
    """The group `lab`, whose help and completion import no command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": LazyCommands()})

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of `lab` itself."""
        return _uncoerced_flags(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, in the order of the table."""
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; completion gets its name only, since typer imports rich to show a summary beside it."""
        if ctx.resilient_parsing and cmd_name in COMMANDS:
            return TyperCommand(cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of the first argument, to be called or to complete its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and self.commands[name or ""], rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names and summaries of all commands, by panel."""
        width = max(map(len, COMMANDS))
        for panel in dict.fromkeys(entry.panel for entry in COMMANDS.values()):
            with formatter.section(panel):
                rows = [(name.ljust(width), entry.summary) for name, entry in COMMANDS.items() if entry.panel == panel]
                formatter.write_dl(rows)


class LabCommand(TyperCommand):
    """A command of `lab`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the arguments and options."""
        return _uncoerced_flags(super().get_params(ctx))


app = typer.Typer(
    name="lab",
    cls=LabCommands,
    help="A lab that shows how dynamic routing behaves over OpenVPN.",
    epilog="Exit codes: 0 done, 1 a check failed, 2 bad input or a host that lacks something.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes longer to import than all the rest of the help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _uncoerced_flags(params: list[Any]) -> list[Any]:
    """Return parameters, of which flags keep their values: typer would import pydantic to coerce that of `--help`."""
    for param in params:
        if getattr(param, "is_flag", False) and not param.envvar:
            param.process_value = partial(_flag_value, param)
    return params


def _flag_value(flag: Any, ctx: Any, value: bool | None) -> Any:
    return flag.callback(ctx, flag, value) if flag.callback else value


def _print_version(wanted: bool | None) -> None:
    if wanted:
        from lab import __version__

        print(f"lab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Set what holds for every command."""
    if debug:
        os.environ["LAB_DEBUG"] = "1"


def _load(name: str) -> Any:
    """Import a command; raises `KeyError` for an unknown one."""
    entry = COMMANDS[name]
    module, _, attribute = entry.where.partition(":")
    found = getattr(import_module(f"lab.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    one = typer.Typer(add_completion=False, rich_markup_mode=None)
    settings = {"ignore_unknown_options": True} if entry.passes_options else None
    one.command(name, cls=LabCommand, context_settings=settings)(found)
    return typer.main.get_command(one)
