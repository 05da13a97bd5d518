"""The directory `.lab`: labs have theirs in it, machines what keeps it there. Made by the first, gone with the last."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOME = Path(".lab")
"""Seen from where the user stands."""
_IGNORED = ".gitignore"


@contextmanager
def entering(home: Path) -> Iterator[None]:
    """Have the directory there, and alone, while something is put into it."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with _alone_in(home.parent):
        home.mkdir(exist_ok=True)
        (home / _IGNORED).write_text("*\n")
        yield


def left(home: Path) -> None:
    """Something was taken out of it: remove it where that was the last."""
    if not home.exists():  # somebody has removed it, or the whole project
        return
    with _alone_in(home.parent):
        if home.exists() and all(entry.name == _IGNORED for entry in home.iterdir()):
            shutil.rmtree(home)


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Keep other processes from making or removing `.lab` here meanwhile."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
