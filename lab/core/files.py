"""Files that the lab renders for a node, before they are anywhere."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined


@dataclass(frozen=True)
class RenderedFile:
    """A file as it shall stand in a node, or on a real host."""

    path: PurePosixPath
    """Absolute, as the node sees it."""
    content: str
    mode: int = 0o644

    def write_below(self, root: Path) -> Path:
        """Write it to the same path below `root` and return where it is.

        A secret never exists with more rights than its own, not even for a moment.
        """
        target = root / self.path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self.mode)
        with os.fdopen(fd, "w") as file:
            os.fchmod(file.fileno(), self.mode)
            file.write(self.content)
        return target


def write_all(files: Iterable[RenderedFile], root: Path) -> list[Path]:
    """Write files below `root`; returns where they are."""
    return [file.write_below(root) for file in files]


@cache
def templates(*packages: str) -> Environment:
    """Return the Jinja2 templates in the folders `templates` of packages; an undefined name in one is an error.

    A template is taken from the first package that has it; `PACKAGE/NAME` takes it from one package only. It is
    compiled once for all files that are rendered from it, unless it has changed.
    """
    loaders = {package: PackageLoader(package) for package in packages}
    return Environment(
        loader=ChoiceLoader([*loaders.values(), PrefixLoader(loaders)]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - these are configuration files, not HTML
    )
