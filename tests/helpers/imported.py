"""Parts of the topology that an import writes."""

from typing import Any

import yaml

from lab.importer import Import


def text_of(made: Import) -> str:
    """Return the text of the topology file."""
    return made.files[0].text


def topology(made: Import) -> dict[str, Any]:
    """Return the part `topology` of the file."""
    return dict(yaml.safe_load(text_of(made))["topology"])


def links(made: Import) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the links by their ends."""
    return {tuple(link["endpoints"]): link for link in topology(made)["links"]}


def variables(made: Import, node: str) -> dict[str, Any]:
    """Return the lab's own keys of a node."""
    return dict(topology(made)["nodes"][node]["config"]["vars"])


def file_of(made: Import, name: str) -> str:
    """Return the text of a file that the import writes."""
    return next(file.text for file in made.files if str(file.path) == name)
