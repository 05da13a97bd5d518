"""`lab schema`: the JSON Schema of the lab's files."""

from typing import Annotated

import typer

from lab.cli.output import print_json
from lab.core.errors import InputError


def schema(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The kind of file; `topology` is the only one.")
    ] = "topology",
) -> None:
    """Print the JSON Schema (draft-07) of topology files, with which an editor completes and checks them.

    It has the lab's own keys, the options of each installed tunnel mode, and
    containerlab's keys as far as the lab reads them. `lab validate` checks more,
    for example that no address is used twice.

    Write it to a file: `lab schema > topology.schema.json`. An editor with
    yaml-language-server (VS Code's YAML extension, Neovim, Emacs and others)
    uses it for a file that begins with the line
    `# yaml-language-server: $schema=topology.schema.json`, or for all of them by
    the setting `"yaml.schemas": {"./topology.schema.json": "*.clab.yml"}`.
    Neither needs a network.
    """
    from lab.catalogue import SCHEMAS

    if name not in SCHEMAS:
        raise InputError(f"there is no schema {name!r}: give one of {', '.join(SCHEMAS)}")
    print_json(SCHEMAS[name]())
