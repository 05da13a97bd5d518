"""The directory `.lab`, which holds the directories of labs and VMs; created with the first, removed with the last."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOME = Path(".lab")
"""Relative to the working directory."""
_IGNORED = ".gitignore"


@contextmanager
def locked_home(home: Path) -> Iterator[None]:
    """Create the directory if needed, and lock out other processes while the block adds to it."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home.parent):
        home.mkdir(exist_ok=True)
        (home / _IGNORED).write_text("*\n")
        yield


def remove_empty_home(home: Path) -> None:
    """Remove the directory if nothing is left in it."""
    if not home.exists():  # removed in the meantime
        return
    with _locked(home.parent):
        if home.exists() and all(entry.name == _IGNORED for entry in home.iterdir()):
            shutil.rmtree(home)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other processes from creating or removing `.lab` in a directory during the block."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
