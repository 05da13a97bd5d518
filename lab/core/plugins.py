"""Plugins, by entry point: modes and routing daemons of this and of other distributions."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from lab.core.errors import EnvironmentBroken

T = TypeVar("T")


class Plugins(Mapping[str, T], Generic[T]):
    """The plugins of an entry point group by name, each imported on first use.

    Raises `EnvironmentBroken` if two distributions use one name, and for a plugin that cannot be loaded, that is not of
    the expected type, or whose name differs from that of its entry point.
    """

    def __init__(self, group: str, kind: type, expected: str) -> None:
        """`kind` is the type of the plugins, `expected` its description in error messages."""
        self._group = group
        self._kind = kind
        self._expected = expected
        self._entries: dict[str, EntryPoint] = {}
        self._loaded: dict[str, T] = {}
        for entry in all_entry_points().select(group=group):
            if (other := self._entries.setdefault(entry.name, entry)) is not entry:
                both = f"{_origin(other)} and {_origin(entry)}"
                raise EnvironmentBroken(f"{both} both define {entry.name!r} in {group}: uninstall one of them")

    def __getitem__(self, name: str) -> T:
        if name not in self._loaded:
            self._loaded[name] = self._load(self._entries[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def _load(self, entry: EntryPoint) -> T:
        try:
            loaded: Any = entry.load()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise EnvironmentBroken(
                f"{_origin(entry)} defines {entry.name!r} in {self._group}, which cannot be loaded ({why}): correct or "
                "uninstall it"
            ) from error
        place = f"the entry point {entry.name!r} ({entry.value}) in {self._group}"
        if not isinstance(loaded, self._kind):
            raise EnvironmentBroken(f"{place} is not {self._expected}: correct or uninstall its distribution")
        plugin: Any = loaded
        if plugin.name != entry.name:
            raise EnvironmentBroken(f"{place} has the name {plugin.name!r}: correct or uninstall its distribution")
        found: T = plugin
        return found


@cache
def all_entry_points() -> Any:
    """Return the entry points of all distributions, whose files are read once; their type changed in Python 3.12."""
    return entry_points()


def _origin(entry: EntryPoint) -> str:
    return f"the distribution {entry.dist.name}" if entry.dist else f"the entry point {entry.value}"
