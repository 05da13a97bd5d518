"""The files that `config.vars.router.config` names, by their paths in the node."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lab.configs.disk import Disk
from lab.configs.routing.facts import RouterFacts
from lab.core.errors import InputError
from lab.own.hostfiles import HostFiles
from lab.topology.own import NodeFile, Remark


@dataclass(frozen=True)
class NamedFiles(Disk):
    """Reads the named files, and those that they include from the tree of the first one."""

    trees: Mapping[PurePosixPath, HostFiles] = field(default_factory=dict)
    """The tree of each named file, by its path in the node; the first is the main file."""

    def tree(self, path: PurePosixPath) -> HostFiles:
        """Return the tree that has a path."""
        return self.trees.get(path) or next(iter(self.trees.values()))

    def name(self, path: PurePosixPath) -> str:
        """Return a file's name for messages."""
        named = self.trees.get(path)
        return named.given if named is not None else self.tree(path).name(path)

    def node_file(self, path: PurePosixPath) -> NodeFile:
        """Return a file as the node gets it; raises `InputError` if it is not at hand."""
        tree = self.tree(path)
        source = tree.config if path in self.trees else tree.find(path)
        if source is None:
            raise InputError(f"{self.name(path)}: the file is not at hand")
        return NodeFile(path=path, source=source, given=self.name(path))

    def files(self, path: PurePosixPath) -> list[PurePosixPath]:
        """Return the regular files of a directory; raises `Unreadable`."""
        return self.tree(path).files(path)

    def _real(self, path: PurePosixPath) -> Path:
        named = self.trees.get(path)
        return named.config if named is not None else self.tree(path)._real(path)


@dataclass(frozen=True)
class GivenFiles:
    """A daemon's files: what they say, and what the node gets."""

    facts: RouterFacts
    files: tuple[NodeFile, ...]
    start: Mapping[str, tuple[str, ...]]
    remarks: tuple[Remark, ...]


def expand(configs: Sequence[str], directory: Path, wanted: Callable[[str], bool], at: str) -> list[str]:
    """Return the named files, and those of named directories whose names the daemon knows; raises `InputError`."""
    found: list[str] = []
    for config in configs:
        path = Path(os.path.normpath(directory / Path(config).expanduser()))
        if not path.is_dir():
            found.append(config)
            continue
        try:
            inside = path.resolve()
            names = sorted(
                entry.name
                for entry in path.iterdir()
                if wanted(entry.name) and entry.resolve().is_relative_to(inside) and entry.is_file()
            )
        except OSError as error:
            raise InputError(f"{config}: {error.strerror}") from error
        if not names:
            raise InputError(f"{at}: {config} has no file of the daemon")
        found += [str(PurePosixPath(config) / name) for name in names]
    return list(dict.fromkeys(found))
