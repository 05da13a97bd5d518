"""Read the files that configurations name: on the host, or below a directory that holds a node's files."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

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


class Unreadable(InputError):
    """A file that cannot be read or parsed. The message begins with the place."""


@dataclass(frozen=True)
class Disk:
    """Reads files: on the host, or those of the node `owner` below the directory `root`."""

    root: Path | None = None
    owner: str = ""

    def text(self, path: PurePosixPath) -> str:
        """Return the text of a file; raises `Unreadable`."""
        try:
            with self._real(path).open("rb") as file:
                octets = file.read(MAX_SIZE + 1)
        except (OSError, ValueError) as error:  # a ValueError is a path with a NUL in it
            raise Unreadable(f"{self.name(path)}: {getattr(error, 'strerror', None) or error}") from error
        if len(octets) > MAX_SIZE:
            raise Unreadable(f"{self.name(path)}: longer than {MAX_SIZE} bytes, not a configuration")
        return octets.decode(errors="replace")

    def files(self, path: PurePosixPath) -> list[PurePosixPath]:
        """Return the regular files of a directory; raises `Unreadable`."""
        try:
            found = [path / entry.name for entry in self._real(path).iterdir() if entry.is_file()]
        except (OSError, ValueError) as error:
            raise Unreadable(f"{self.name(path)}: {getattr(error, 'strerror', None) or error}") from error
        if len(found) > MAX_FILES:
            raise Unreadable(f"{self.name(path)}: more than {MAX_FILES} files")
        return sorted(found)

    def name(self, path: PurePosixPath) -> str:
        """Return a file's name for messages, on one line."""
        text = f"{self.owner}:{path}" if self.owner else str(path)
        return text if text.isprintable() else ascii(text)

    def _real(self, path: PurePosixPath) -> Path:
        return Path(path) if self.root is None else self.root / str(path).lstrip("/")
