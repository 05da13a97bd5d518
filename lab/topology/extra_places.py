"""The places of extra lines in a topology file; separate from `extra`, so that a running lab does not import YAML."""

from lab.topology.extra import split_lines
from lab.topology.mistakes import key_path
from lab.topology.source import Items, Scalar, Tree


def extra_places(tree: Tree | None) -> tuple[str, ...]:
    """Return the place of each of the `extra_lines` of a value in the file."""
    if isinstance(tree, Items):
        return tuple(place for item in tree.items for place in extra_places(item))
    if not isinstance(tree, Scalar) or not tree.text:
        return ()
    file, first, _ = tree.place
    count = len(split_lines(tree.text))
    numbers = range(first + 1, first + 1 + count) if tree.literal else [first] * count
    return tuple(f"{file}:{number}: {key_path(tree.path)}" for number in numbers)
