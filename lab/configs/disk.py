"""Read the files that configurations name: on the host, or below a directory that holds a node's files."""

import os
import stat
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lab.core.errors import InputError

MAX_SIZE = 1 << 20
"""The maximum size of a file in bytes; OpenVPN's configurations are far shorter."""
MAX_FILES = 1000
"""The maximum number of files in a directory."""


@dataclass(frozen=True)
class Spot:
    """A line of a file."""

    file: str
    """The name that the user gave."""
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Argument(Spot):
    """An argument of a command in a line of a file; `line` is 0 if only the file is known."""

    word: int
    """The number of its first word in the command."""

    def __str__(self) -> str:
        return super().__str__() if self.line else self.file


class Unreadable(InputError):
    """A file that cannot be read or parsed. The message begins with the place."""


@dataclass(frozen=True)
class Disk:
    """Reads files: on the host, or those of the node `owner` below the directory `root`."""

    root: Path | None = None
    owner: str = ""

    def text(self, path: PurePosixPath, limit: int = MAX_SIZE) -> str:
        """Return the text of a file; raises `Unreadable`, also for more than `limit` bytes."""
        try:
            with _open(self._real(path)) as file:
                octets = file.read(limit + 1)
        except (OSError, ValueError) as error:  # a ValueError is a path with a NUL in it
            raise Unreadable(f"{self.name(path)}: {getattr(error, 'strerror', None) or error}") from error
        if len(octets) > limit:
            raise Unreadable(f"{self.name(path)}: longer than {limit} bytes, not a configuration")
        return octets.decode(errors="replace")

    def head(self, path: PurePosixPath, size: int) -> bytes:
        """Return the first bytes of a file; raises `Unreadable`."""
        try:
            with _open(self._real(path)) as file:
                return file.read(size)
        except (OSError, ValueError) as error:
            raise Unreadable(f"{self.name(path)}: {getattr(error, 'strerror', None) or error}") from error

    def files(self, path: PurePosixPath) -> list[PurePosixPath]:
        """Return the regular files of a directory; raises `Unreadable`."""
        try:
            found = [path / entry.name for entry in self._real(path).iterdir() if entry.is_file()]
        except (OSError, ValueError) as error:
            raise Unreadable(f"{self.name(path)}: {getattr(error, 'strerror', None) or error}") from error
        if len(found) > MAX_FILES:
            raise Unreadable(f"{self.name(path)}: more than {MAX_FILES} files")
        return sorted(found)

    def names(self, path: PurePosixPath) -> list[str]:
        """Return the names in a directory, also of links that lead nowhere; none if it is not at hand."""
        try:
            return sorted(entry.name for entry in islice(self._real(path).iterdir(), MAX_FILES))
        except (OSError, ValueError):
            return []

    def name(self, path: PurePosixPath) -> str:
        """Return a file's name for messages, on one line."""
        text = f"{self.owner}:{path}" if self.owner else str(path)
        return text if text.isprintable() else ascii(text)

    def _real(self, path: PurePosixPath) -> Path:
        return Path(path) if self.root is None else self.root / str(path).lstrip("/")


def _open(path: Path) -> BinaryIO:
    """Open a regular file; a pipe without a writer would block, and a device may never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is not a regular file")
    return os.fdopen(descriptor, "rb")
