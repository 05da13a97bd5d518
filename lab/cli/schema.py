"""`lab schema`: the JSON Schema of the lab's files."""

from typing import Annotated

import typer

from lab.cli.output import print_json
from lab.core.errors import InputError

_CHECKS = "checks"
"""The schema of checks files; its module imports the whole lab, and `lab.catalogue` is below it."""


def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The kind of file: `topology` or `checks`.")] = "topology",
) -> None:
    """Print the JSON Schema (draft-07) of topology or checks files, with which an editor completes and checks them.

    That of topology files has the lab's own keys, the options of each installed tunnel mode, and
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

    if name not in (*SCHEMAS, _CHECKS):
        raise InputError(f"unknown schema {name!r}: give one of {', '.join((*SCHEMAS, _CHECKS))}")
    if name == _CHECKS:
        from lab.check.json_schema import checks_schema

        print_json(checks_schema())
    else:
        print_json(SCHEMAS[name]())
