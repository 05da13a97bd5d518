"""`lab down`: take labs down."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import complete_lab, lab_named, loaded
from lab.cli.output import progress
from lab.core.errors import InputError


def down(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Labs by name, or topology files; by default the only lab that runs.",
            autocompletion=complete_lab,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All labs on this host.")] = False,
) -> None:
    """Take labs down: containers, links and files."""
    from lab.engine import open_engine
    from lab.runtime.destroy import destroy
    from lab.runtime.registry import running_labs

    if names and everything:
        raise InputError("`lab down` takes names or --all, not both")
    engine = open_engine()
    running = running_labs(engine)
    if everything:
        chosen = running
    elif names:
        chosen = [loaded(name).name if Path(name).is_file() else name for name in names]
    else:
        chosen = [lab_named(None, engine)] if running else []
    if not chosen:
        print("no lab is running", file=sys.stderr)
    for lab in chosen:
        with progress() as say:
            say(f"taking lab {lab} down")
            found = destroy(lab, engine=engine)
        if not found and lab in (names or []):
            known = f"running are {', '.join(running)}" if running else "no lab is running"
            raise InputError(f"no lab named {lab!r} is running; {known}")
        print(f"lab {lab} is down" if found else f"lab {lab} was not running", file=sys.stderr)
