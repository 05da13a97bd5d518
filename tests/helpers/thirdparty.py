"""Distributions that extend the lab, in tests/data/thirdparty: built, installed and found as a user's would be."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from lab.core.files import templates
from lab.core.plugins import all_entry_points
from lab.routing import daemons
from lab.tunnel import modes

SOURCES = Path(__file__).parents[1] / "data" / "thirdparty"


def install(name: str, target: Path) -> None:
    """Build the wheel of a distribution and unpack it into a directory, as `pip install --no-deps --target` does.

    The build runs with the setuptools of this environment, without a network and without pip, in a copy of the sources.
    """
    with TemporaryDirectory() as directory:
        source = copytree(SOURCES / name, Path(directory, "source"))
        build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
        done = subprocess.run((sys.executable, "-c", build, directory), cwd=source, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        (wheel,) = Path(directory).glob("*.whl")
        with ZipFile(wheel) as archive:
            archive.extractall(target)


@contextmanager
def installed(*names: str) -> Iterator[Path]:
    """Install distributions for a while: the lab in this process finds their entry points."""
    with TemporaryDirectory() as directory:
        target = Path(directory)
        for name in names:
            install(name, target)
        before = set(sys.modules)
        sys.path.insert(0, directory)
        _forget()
        try:
            yield target
        finally:
            sys.path.remove(directory)
            for module in set(sys.modules) - before:
                if (getattr(sys.modules[module], "__file__", None) or "").startswith(directory):
                    del sys.modules[module]
            _forget()


def _forget() -> None:
    """Have modes, daemons and their templates looked up again."""
    importlib.invalidate_caches()
    all_entry_points.cache_clear()
    modes.cache_clear()
    daemons.cache_clear()
    templates.cache_clear()
