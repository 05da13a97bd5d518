"""`lab down`: take labs down."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import complete_lab, loaded, only_of
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
    from lab.engine import all_engines
    from lab.runtime.destroy import destroy
    from lab.runtime.registry import engine_with, existing_labs

    if names and everything:
        raise InputError("`lab down` takes names or --all, not both")
    engines = all_engines()
    existing = [lab for engine in engines for lab in existing_labs(engine)]
    if everything:
        chosen = existing
    elif names:
        chosen = [loaded(name).name if Path(name).is_file() else name for name in names]
    else:
        chosen = existing if len(existing) < 2 else [only_of(existing)]
    if not chosen:
        print("no lab is running", file=sys.stderr)
    for lab in chosen:
        with progress() as say:
            say(f"taking lab {lab} down")
            found = destroy(lab, engine=engine_with(lab, engines))
        if not found and lab in (names or []):
            known = f"running are {', '.join(existing)}" if existing else "no lab is running"
            raise InputError(f"no lab named {lab!r} is running; {known}")
        print(f"lab {lab} is down" if found else f"lab {lab} was not running", file=sys.stderr)
