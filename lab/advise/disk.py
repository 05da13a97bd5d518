"""Where the files lie that configurations name: on this machine, or below a directory as a node would see them."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lab.core.errors import InputError

LONGEST = 1 << 20
"""Octets of a file that is read; OpenVPN's configurations are far shorter."""
MOST_FILES = 1000
"""Files of a directory that are read."""


@dataclass(frozen=True)
class Spot:
    """A line of a file."""

    file: str
    """As the user knows it."""
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Unreadable(InputError):
    """A file that is not there, or not what it should be. The message begins with the place."""


@dataclass(frozen=True)
class Disk:
    """Reads files; `root` is the directory below which a node's files lie, `owner` the node."""

    root: Path | None = None
    owner: str = ""

    def text(self, path: PurePosixPath) -> str:
        """The text of a file; raises `Unreadable`."""
        try:
            with self._real(path).open("rb") as file:
                octets = file.read(LONGEST + 1)
        except (OSError, ValueError) as error:  # a ValueError is a path with a NUL in it
            raise Unreadable(f"{self.name(path)}: {getattr(error, 'strerror', None) or error}") from error
        if len(octets) > LONGEST:
            raise Unreadable(f"{self.name(path)}: longer than {LONGEST} octets: this is no configuration")
        return octets.decode(errors="replace")

    def files(self, path: PurePosixPath) -> list[PurePosixPath]:
        """The plain files of a directory; raises `Unreadable`."""
        try:
            found = [path / entry.name for entry in self._real(path).iterdir() if entry.is_file()]
        except (OSError, ValueError) as error:
            raise Unreadable(f"{self.name(path)}: {getattr(error, 'strerror', None) or error}") from error
        if len(found) > MOST_FILES:
            raise Unreadable(f"{self.name(path)}: more than {MOST_FILES} files")
        return sorted(found)

    def name(self, path: PurePosixPath) -> str:
        """How a file is called in front of the user, on one line."""
        text = f"{self.owner}:{path}" if self.owner else str(path)
        return text if text.isprintable() else ascii(text)

    def _real(self, path: PurePosixPath) -> Path:
        return Path(path) if self.root is None else self.root / str(path).lstrip("/")
