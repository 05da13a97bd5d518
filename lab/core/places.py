"""Directories of the lab on this host outside `.lab`: what runs, and what is kept.

Root's are for the whole host, a user's are the user's own: the labs of two users do not see each other. A process in a
user namespace, where the user is root (user_namespaces(7)), has the user's directories too.
"""

import os
import stat
import tempfile
from pathlib import Path

from lab.core.errors import EnvironmentBroken

_NAME = "openvpn-routing-lab"


def host_uid() -> int:
    """Return the id of this process's user outside its user namespace."""
    inside = os.geteuid()
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, outside, count = map(int, line.split())
        if first <= inside < first + count:
            return outside + inside - first
    return inside


def runtime_directory() -> Path:
    """Return the directory of what runs, created if it is missing; a reboot may empty it.

    It is below /run for root and below XDG_RUNTIME_DIR for a user, or below the directory of temporary files where that
    is not set. Raises `EnvironmentBroken` if it cannot be used.
    """
    uid = host_uid()
    if uid == 0:
        return private(Path("/run", _NAME))
    # The directory itself is checked below: in a user namespace, a user may have kept the variable of another one.
    own = os.environ.get("XDG_RUNTIME_DIR")
    return private(Path(own, _NAME) if own else Path(tempfile.gettempdir(), f"{_NAME}-{uid}"))


def lock_directory() -> Path:
    """Return the directory of the user's locks, created if it is missing.

    Raises `EnvironmentBroken` if it cannot be used.
    """
    return private(Path(tempfile.gettempdir(), f"{_NAME}-locks-{host_uid()}"))


def data_directory() -> Path:
    """Return the directory of what is kept, created if it is missing: unpacked images, named volumes.

    Raises `EnvironmentBroken` if it cannot be used.
    """
    if host_uid() == 0:
        return private(Path("/var/lib", _NAME))
    own = os.environ.get("XDG_DATA_HOME")
    return private((Path(own) if own else Path.home() / ".local/share") / _NAME)


def private(directory: Path) -> Path:
    """Return a directory that only its owner may enter, created if it is missing.

    Raises `EnvironmentBroken` if it cannot be created, or is something else.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise EnvironmentBroken(f"the lab's directory {directory} cannot be created: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EnvironmentBroken(
            f"the lab's directory {directory} is not a directory that only uid {host_uid()} may write: remove it"
        )
    return directory
