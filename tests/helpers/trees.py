"""Trees of plain data, such as a YAML file's, with changes: for tests that try out many files."""

from typing import Any


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a tree."""
    found = [path] if path else []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


def mutated(tree: Any, path: tuple[Any, ...], how: str, value: Any) -> Any:
    """Return a copy of a tree in which the value under a path is dropped, renamed or replaced."""
    key, *rest = path
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    try:
        if rest:
            copy[key] = mutated(copy[key], tuple(rest), how, value)
        elif how == "drop":
            del copy[key]
        elif how == "rename" and isinstance(copy, dict):
            copy[str(value)] = copy.pop(key)
        else:
            copy[key] = value
    except (KeyError, IndexError, TypeError, ValueError):
        return tree  # an earlier mutation removed the path
    return copy
