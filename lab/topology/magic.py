"""containerlab's magic variables, in the two places where it has them: `exec` and the source of a bind."""

from pathlib import Path

from lab.topology.model import Node

LAB_DIR = "__clabDir__"
LAB_NAME = "__clabLabName__"
NODE_DIR = "__clabNodeDir__"
NODE_NAME = "__clabNodeName__"


def substitute(node: Node, *, node_dir: Path, lab_dir: Path) -> Node:
    """Return the node with the directories of a running lab put in place of the magic variables.

    `__clabLabName__` is the last part of the lab's directory, as it is for containerlab.
    """
    values = {NODE_DIR: str(node_dir), LAB_DIR: str(lab_dir), LAB_NAME: lab_dir.name, NODE_NAME: node.name}
    return node.model_copy(
        update={
            "exec": tuple(replace(command, values) for command in node.exec),
            "binds": tuple(replace_source(bind, values) for bind in node.binds),
        }
    )


def replace(text: str, values: dict[str, str]) -> str:
    """Put each value in place of its variable."""
    for variable, value in values.items():
        text = text.replace(variable, value)
    return text


def replace_source(bind: str, values: dict[str, str]) -> str:
    """Put each value in place of its variable in the source of a bind, not in its destination."""
    source, colon, rest = bind.partition(":")
    return replace(source, values) + colon + rest
