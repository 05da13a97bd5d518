"""Find the regular files of a directory that was copied from a host, within bounds."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lab.core.errors import InputError
from lab.topology.mistakes import quote

MAX_FILES = 10_000
"""The maximum number of files of one host; more is a whole file system and not a copy of some configurations."""
_MAX_SIZE = 8 << 20
"""The maximum size of a file in bytes: an output of `ip route` can be long."""
_MAX_DEPTH = 20
SPARE = re.compile(
    r"(?i)(^|/)(samples?[^/]*|examples?|doc|docs|old|backups?|archive)/|\.(bak|old|orig|save?|sample|dpkg-\w+|rpm\w+)$|~$"
)
"""Paths of copies and examples, with which no program of the host runs."""


@dataclass(frozen=True)
class Walked:
    """The files of a directory, and those that were left out."""

    files: tuple[PurePosixPath, ...]
    """Their paths below the directory, written as absolute ones."""
    left_out: tuple[str, ...]
    """Each with the reason."""


def walk(directory: Path) -> Walked:
    """Find the regular files below a directory; symbolic links are not followed. Raises `InputError`."""
    if not directory.is_dir():
        raise InputError(f"{quote(str(directory))} is not a directory: give the one with the files of the host")
    files: list[PurePosixPath] = []
    left_out: list[str] = []
    count = 0

    def refuse(error: OSError) -> None:
        left_out.append(f"{error.filename}: {(error.strerror or 'it cannot be read').lower()}")

    for folder, folders, names in os.walk(directory, onerror=refuse):
        folders.sort()
        here = PurePosixPath("/") / Path(folder).relative_to(directory).as_posix()
        if len(here.parts) > _MAX_DEPTH:
            left_out.append(f"{_shown(here)}: more than {_MAX_DEPTH} directories deep")
            folders.clear()
        for name in sorted(names):
            count += 1
            if count > MAX_FILES:
                raise InputError(
                    f"{quote(str(directory))} has more than {MAX_FILES} files: copy only the configurations of the host"
                )
            objection = _objection(Path(folder) / name)
            if objection is None:
                files.append(here / name)
            elif objection:
                left_out.append(f"{_shown(here / name)}: {objection}")
    return Walked(tuple(files), tuple(left_out))


def _objection(path: Path) -> str | None:
    """Return why a file is left out; empty for a symbolic link, whose target is found by itself if it is inside."""
    try:
        status = path.lstat()
    except OSError as error:
        return (error.strerror or "it cannot be read").lower()
    if stat.S_ISLNK(status.st_mode):
        return ""
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return f"longer than {_MAX_SIZE} bytes, not a configuration" if status.st_size > _MAX_SIZE else None


def _shown(path: PurePosixPath) -> str:
    text = str(path).removeprefix("/")
    return text if text.isprintable() else ascii(text)
