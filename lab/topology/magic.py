"""containerlab's magic variables, which it replaces in `exec` and in the source of a bind."""

import os
from pathlib import Path

from lab.core.errors import InputError
from lab.topology.model import Node
from lab.topology.stages import STAGES, Stage, Stages

LAB_DIR = "__clabDir__"
LAB_NAME = "__clabLabName__"
NODE_DIR = "__clabNodeDir__"
NODE_NAME = "__clabNodeName__"
CERTIFICATES = ".tls"
"""The directory of the nodes' certificates and their authority's, below the lab's directory."""
FILLED_LATER = ("ansible-inventory.yml", "topology-data.json")
"""Files below the lab's directory that are empty until the lab is up, as in containerlab."""
MADE = (CERTIFICATES, *FILLED_LATER, "nodes", "pki", "topology.json")
"""The names in a lab's directory, as `lab.runtime.store` makes it."""


def substitute(node: Node, *, node_dir: Path, lab_dir: Path) -> Node:
    """Return the node with its magic variables replaced by the directories of a running lab.

    `__clabLabName__` is the last part of the lab's directory, as in containerlab.
    """
    values = {NODE_DIR: str(node_dir), LAB_DIR: str(lab_dir), LAB_NAME: lab_dir.name, NODE_NAME: node.name}
    return node.model_copy(
        update={
            "exec": tuple(replace(command, values) for command in node.exec),
            "stages": _replaced(node.stages, values),
            "binds": tuple(replace_source(bind, values) for bind in node.binds),
        }
    )


def require_sources(node: Node) -> None:
    """Raise `InputError` if the source of a bind does not exist, as containerlab does, where an engine would make one.

    Takes a node from `substitute`, and a lab's directory with all that the lab makes in it: before, the reader cannot
    know where such a source is.
    """
    for bind in node.binds:
        source = Path(os.path.normpath(bind.partition(":")[0]))
        if not source.exists():
            raise InputError(
                f"node {node.name!r}: the source {source} of a bind does not exist: make it first; comments in the "
                "topology may say how"
            )


def _replaced(stages: Stages, values: dict[str, str]) -> Stages:
    """Return stages with the variables in their commands replaced."""

    def of(stage: Stage) -> Stage:
        commands = (each.model_copy(update={"command": replace(each.command, values)}) for each in stage.exec)
        return stage.model_copy(update={"exec": tuple(commands)})

    names = {name.replace("-", "_"): of(stages.of(name)) for name in STAGES}
    return stages.model_copy(update=names)


def replace(text: str, values: dict[str, str]) -> str:
    """Replace each variable by its value."""
    for variable, value in values.items():
        text = text.replace(variable, value)
    return text


def replace_source(bind: str, values: dict[str, str]) -> str:
    """Replace each variable by its value in the source of a bind, not in its destination."""
    source, colon, rest = bind.partition(":")
    return replace(source, values) + colon + rest
