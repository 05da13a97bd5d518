"""Loading of plugins: modes and routing daemons of this and of other distributions, by entry point."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from lab.core.errors import EnvironmentBroken


def load_plugins(group: str) -> Iterator[tuple[EntryPoint, Any]]:
    """Yield the entry points of a group with the objects that they name.

    Raises `EnvironmentBroken` if an object cannot be loaded, or if two distributions use one name.
    """
    by_name: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        if (other := by_name.setdefault(entry.name, entry)) is not entry:
            both = f"{_origin(other)} and {_origin(entry)}"
            raise EnvironmentBroken(f"{both} both define {entry.name!r} in {group}: uninstall one of them")
    for entry in by_name.values():
        try:
            loaded = entry.load()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise EnvironmentBroken(
                f"{_origin(entry)} defines {entry.name!r} in {group}, which cannot be loaded ({why}): correct or "
                "uninstall it"
            ) from error
        yield entry, loaded


def _origin(entry: EntryPoint) -> str:
    return f"the distribution {entry.dist.name}" if entry.dist else f"the entry point {entry.value}"
