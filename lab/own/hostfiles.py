"""The user's files of one node: its absolute paths, mapped into a directory of the host."""

import os
import stat
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Self

from lab.configs.disk import MAX_FILES, Disk, Unreadable

MAX_LINKS = 40
"""The number of symbolic links that one path may pass, as in path_resolution(7)."""
MAX_COPIED = 16 << 20
"""The maximum size in bytes of a file that comes along."""
_DEBIAN = PurePosixPath("/etc/openvpn")
_ROOT = PurePosixPath("/")


@dataclass(frozen=True)
class HostFiles(Disk):
    """Reads the files of a node from a directory of the host, and never outside of it.

    `root` is the directory on the host that is the directory `inside` of the node. Symbolic links are followed
    as in the node: absolute ones begin at its root. What lies outside of the tree is not at hand.
    """

    inside: PurePosixPath = _ROOT
    """The directory of the node for which `root` stands."""
    shown: str = ""
    """The name of `root` in messages, as the user wrote it: relative to the topology file."""
    path: PurePosixPath = _ROOT
    """The path in the node of the configuration file that the topology names."""
    config: Path = Path()
    """That file on the host, which may have another name than in the node."""
    given: str = ""
    """That file's name in messages."""

    @classmethod
    def of(cls, config: str, directory: Path, path: str | None = None, *, default: PurePosixPath = _DEBIAN) -> Self:
        """Return the tree of a configuration file that a topology file in `directory` names.

        `path` is its path in the node, by default the part of its name from `/etc/` on, or else its name in the
        directory `default`. Where both paths end in the same directories, the tree begins above these, else it is the
        file's own directory; it is never the whole file system of this machine.
        """
        host = Path(os.path.normpath(directory / Path(config).expanduser()))
        from_etc = _from_etc(PurePosixPath(config))
        inside = PurePosixPath(os.path.normpath(path or from_etc or default / host.name))
        root, top = host.parent, inside.parent
        if path is not None or from_etc is not None:
            while top != _ROOT and root.name == top.name:
                root, top = root.parent, top.parent
        if root == Path(root.anchor):
            root, top = host.parent, inside.parent
        shown = os.path.relpath(root, directory) if not Path(config).is_absolute() else str(root)
        return cls(root=root, inside=top, shown=shown, path=inside, config=host, given=config)

    def name(self, path: PurePosixPath) -> str:
        """Return a file's name for messages: on the host if the tree covers it, else in the node."""
        if path == self.path:
            text = self.given
        elif path.is_relative_to(self.inside):
            text = os.path.normpath(PurePosixPath(self.shown) / path.relative_to(self.inside))
        else:
            text = str(path)
        return text if text.isprintable() else ascii(text)

    def find(self, path: PurePosixPath) -> Path | None:
        """Return the regular file at a path of the node, without symbolic links; None if it is not at hand."""
        try:
            found = self._real(path)
        except (OSError, ValueError):
            return None
        return None if found.is_dir() else found

    def files(self, path: PurePosixPath) -> list[PurePosixPath]:
        """Return the regular files of a directory, and the symbolic links to files of the tree; raises `Unreadable`."""
        try:
            names = sorted(islice((entry.name for entry in self._walk(path).iterdir()), MAX_FILES + 1))
        except (OSError, ValueError) as error:
            raise Unreadable(f"{self.name(path)}: {getattr(error, 'strerror', None) or error}") from error
        if len(names) > MAX_FILES:
            raise Unreadable(f"{self.name(path)}: more than {MAX_FILES} files")
        return [path / name for name in names if self.find(path / name) is not None]

    def is_directory(self, path: PurePosixPath) -> bool:
        """Return True if the tree has a directory at a path of the node."""
        try:
            return self._walk(path).is_dir()
        except (OSError, ValueError):
            return False

    def _real(self, path: PurePosixPath) -> Path:
        """Return a regular file or a directory on the host: opening a pipe or a device could block."""
        found = self._walk(path)
        if not found.is_dir() and not stat.S_ISREG(found.stat().st_mode):
            raise OSError(0, "not a regular file")
        return found

    def _walk(self, path: PurePosixPath) -> Path:
        """Follow a path of the node; raises `OSError` if it leaves the tree."""
        if path == self.path:
            return self.config
        todo, at, links = list(reversed(path.parts)), _ROOT, 0
        while todo:
            part = todo.pop()
            at = at.parent if part == ".." else at / part
            link = self._link(at)
            if link is not None:
                at = at.parent
                todo += reversed(link.parts)
                links += 1
                if links > MAX_LINKS:
                    raise OSError(0, "too many symbolic links")
        return self._host(at)

    def _host(self, path: PurePosixPath) -> Path:
        assert self.root is not None
        if not path.is_relative_to(self.inside):
            raise OSError(0, f"outside of {self.shown}")
        return self.root / path.relative_to(self.inside)

    def _link(self, path: PurePosixPath) -> PurePosixPath | None:
        """Return the target of a symbolic link below the tree's root; None for anything else."""
        if path == self.inside or not path.is_relative_to(self.inside):
            return None
        try:
            return PurePosixPath(self._host(path).readlink())
        except OSError:
            return None


def _from_etc(config: PurePosixPath) -> PurePosixPath | None:
    """Return the part of a path from its last directory `etc` on, as an absolute path."""
    directories = config.parts[:-1]
    if "etc" not in directories:
        return None
    first = len(directories) - 1 - directories[::-1].index("etc")
    return _ROOT.joinpath(*config.parts[first:])
