"""All commands of `lab`."""

import os
from typing import Annotated

import typer

from lab.cli import (
    advise,
    announce,
    bench,
    capture,
    claims,
    draw,
    fault,
    impair,
    inside,
    life,
    machine,
    measure,
    modes,
    observe,
    report,
    scale,
    schema,
    vm,
    watch,
)
from lab.cli.errors import Commands

app = typer.Typer(
    name="lab",
    cls=Commands,
    help="A lab that shows how dynamic routing behaves over OpenVPN.",
    epilog="Exit codes: 0 done, 1 a check failed, 2 bad input or a machine that lacks something.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Set what holds for every command."""
    if debug:
        os.environ["LAB_DEBUG"] = "1"


_LIFE = "The life of a lab"
_WATCH = "Watch"
_CHANGE = "Change"
_FILES = "Topologies and files"
_MEASURE = "Measure"
_MACHINE = "This machine"

app.command(rich_help_panel=_LIFE)(life.up)
app.command(rich_help_panel=_LIFE)(life.down)
app.command("list", rich_help_panel=_LIFE)(life.list_)
app.command(rich_help_panel=_LIFE)(observe.status)
app.command(rich_help_panel=_WATCH)(watch.watch)
app.command(rich_help_panel=_WATCH)(observe.routes)
app.command(rich_help_panel=_WATCH)(inside.logs)
app.command(rich_help_panel=_WATCH)(capture.capture)
app.command(rich_help_panel=_CHANGE)(announce.announce)
app.command(rich_help_panel=_CHANGE)(announce.withdraw)
app.command("exec", rich_help_panel=_CHANGE, context_settings={"ignore_unknown_options": True})(inside.exec_)
app.command(rich_help_panel=_CHANGE)(inside.shell)
app.command(rich_help_panel=_CHANGE)(impair.impair)
app.add_typer(fault.app, name="fault", rich_help_panel=_CHANGE)
app.command(rich_help_panel=_WATCH)(claims.claims)
app.command(rich_help_panel=_WATCH)(modes.modes)
app.command(rich_help_panel=_FILES)(draw.validate)
app.command(rich_help_panel=_FILES)(draw.graph)
app.command(rich_help_panel=_FILES)(draw.render)
app.command(rich_help_panel=_FILES)(schema.schema)
app.command(rich_help_panel=_FILES)(advise.advise)
app.command(rich_help_panel=_MEASURE)(measure.measure)
app.command(rich_help_panel=_MEASURE)(report.report)
app.command(rich_help_panel=_MEASURE)(scale.scale)
app.command(rich_help_panel=_MACHINE)(machine.doctor)
app.command(rich_help_panel=_MACHINE)(machine.setup)
app.command(rich_help_panel=_MACHINE)(bench.bench)
app.command(rich_help_panel=_MACHINE)(machine.clean)
app.add_typer(vm.app, name="vm", rich_help_panel=_MACHINE)
