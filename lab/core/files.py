"""Rendered files, and the templates that they are rendered from."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True)
class RenderedFile:
    """A file to be written for a node, or for a real host."""

    path: PurePosixPath
    """The absolute path in the node."""
    content: str
    mode: int = 0o644

    def write_below(self, root: Path) -> Path:
        """Write the file to the same path below `root` and return that path.

        A file with secrets has its final permissions from the moment it exists.
        """
        return write_below(root, self.path, self.content.encode(), self.mode)


def write_below(root: Path, path: PurePosixPath, content: bytes, mode: int) -> Path:
    """Write a file to an absolute path of a node below `root` and return its path there.

    A file with secrets has its final permissions from the moment it exists.
    """
    assert ".." not in path.parts, path  # it would leave the directory
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    return target


def write_all(files: Iterable[RenderedFile], root: Path) -> list[Path]:
    """Write files below `root` and return their paths."""
    return [file.write_below(root) for file in files]


@cache
def templates(*packages: str) -> "Environment":
    """Return the Jinja2 templates in the folders `templates` of packages; an undefined name in one is an error.

    A template is taken from the first package that has it; `PACKAGE/NAME` takes it from one package only. It is
    compiled once for all files that are rendered from it, unless it has changed.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined

    loaders = {package: PackageLoader(package) for package in packages}
    return Environment(
        loader=ChoiceLoader([*loaders.values(), PrefixLoader(loaders)]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - these are configuration files, not HTML
    )
