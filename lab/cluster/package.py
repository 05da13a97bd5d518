"""The package `lab` on its way to workers: an archive that its digest names, unpacked once on each machine."""

import errno
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import lab
from lab.core.errors import EnvironmentBroken
from lab.core.places import data_directory, private
from lab.core.progress import Say

_ROOT: Final = Path(lab.__file__).parent
_DISTRIBUTION: Final = "openvpn-routing-lab"
_METADATA: Final = ("METADATA", "entry_points.txt")
"""The version, and pytest's plugin."""
_LEFT_OUT: Final = "__pycache__"


@dataclass(frozen=True)
class Package:
    """The files of the package."""

    archive: bytes
    digest: str
    """SHA-256 of the archive, which depends on names, contents and executable bits only."""


@cache
def own_package() -> Package:
    """Return the package that this process runs."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content, mode in _files():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return Package(written.getvalue(), _digest(written.getvalue()))


def has_package(digest: str) -> bool:
    """Return whether this machine has a package: the one that this process runs, or an unpacked one."""
    return digest == own_package().digest or _directory(digest).exists()


def unpack_package(digest: str, archive: bytes) -> None:
    """Unpack a package; raises `EnvironmentBroken` if it is not the one with this digest, or cannot be written."""
    if _digest(archive) != digest:
        raise EnvironmentBroken(f"the package arrived with digest {_digest(archive)} instead of {digest}")
    into = _directory(digest)
    try:
        partial = Path(tempfile.mkdtemp(dir=into.parent))
        try:
            with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
                opened.extractall(partial, filter="data")
            partial.rename(into)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:  # another worker of this machine was faster
            return
        raise EnvironmentBroken(f"the package cannot be unpacked into {into}: {error.strerror or error}") from error


def remove_packages(say: Say) -> None:
    """Remove the packages of callers from this machine, with what a worker that was killed left half unpacked."""
    packages = _packages()
    for left in sorted(packages.iterdir()):
        shutil.rmtree(left)
        say(f"removed the package {left.name}")
    packages.rmdir()


def environment_of(digest: str) -> Mapping[str, str]:
    """Return the environment of a Python process that runs a package; an empty digest is the one that is installed."""
    if not digest or digest == own_package().digest:
        return os.environ
    # The working directory stays importable, as it has tests, but after the package: it may be a checkout.
    path = [str(_directory(digest)), str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "PYTHONSAFEPATH": "1"}


def _files() -> Iterator[tuple[str, bytes, int]]:
    for parent, directories, names in os.walk(_ROOT, followlinks=True):  # images and topologies of a checkout are links
        directories[:] = sorted(name for name in directories if name != _LEFT_OUT)
        for file in (Path(parent, name) for name in sorted(names)):
            name = str(file.relative_to(_ROOT.parent))
            yield name, file.read_bytes(), 0o755 if os.access(file, os.X_OK) else 0o644
    installed = distribution(_DISTRIBUTION)
    stem = f"{_DISTRIBUTION.replace('-', '_')}-{installed.version}.dist-info"
    for name in _METADATA:
        yield f"{stem}/{name}", (installed.read_text(name) or "").encode(), 0o644


def _digest(archive: bytes) -> str:
    return hashlib.sha256(archive).hexdigest()


def _directory(digest: str) -> Path:
    return _packages() / digest


def _packages() -> Path:
    return private(data_directory() / "packages")
