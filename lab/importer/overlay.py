"""The files of a node before they are written, above those of the host that exist already."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from lab.configs.disk import MAX_SIZE, Disk, Unreadable
from lab.own.hostfiles import HostFiles


@dataclass(frozen=True)
class Overlay(Disk):
    """Texts by their path in the node; what is not among them is read from the host's own files."""

    texts: Mapping[PurePosixPath, str] = field(default_factory=dict)
    shown: str = ""
    """The directory of the texts in messages."""
    below: HostFiles | None = None

    def name(self, path: PurePosixPath) -> str:
        """Return a file's name for messages."""
        if path not in self.texts and self.below is not None:
            return self.below.name(path)
        text = f"{self.shown}{path}"
        return text if text.isprintable() else ascii(text)

    def text(self, path: PurePosixPath, limit: int = MAX_SIZE) -> str:
        """Return the text of a file; raises `Unreadable`."""
        if path in self.texts:
            return self.texts[path]
        if self.below is None:
            raise Unreadable(f"{self.name(path)}: no such file")
        return self.below.text(path, limit)

    def head(self, path: PurePosixPath, size: int) -> bytes:
        """Return the first bytes of a file; raises `Unreadable`."""
        if path in self.texts:
            return self.texts[path].encode()[:size]
        if self.below is None:
            raise Unreadable(f"{self.name(path)}: no such file")
        return self.below.head(path, size)

    def files(self, path: PurePosixPath) -> list[PurePosixPath]:
        """Return the files of a directory; raises `Unreadable`."""
        mine = {p for p in self.texts if p.parent == path}
        if mine:
            return sorted(mine)
        if self.below is None:
            raise Unreadable(f"{self.name(path)}: no such directory")
        return self.below.files(path)

    def has(self, path: PurePosixPath) -> bool:
        """Return True if there is a file or a directory at a path."""
        if path in self.texts or any(path in p.parents for p in self.texts):
            return True
        return self.below is not None and (self.below.find(path) is not None or self.below.is_directory(path))
