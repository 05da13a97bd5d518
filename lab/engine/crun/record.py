"""The state of a node: a directory below the lab's runtime directory, with the truth that Docker keeps in labels.

A directory gets its final name only when its record is complete, and loses its record last: so a process that is killed
at any moment leaves nodes that can be found, or a nameless directory that no process belongs to.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.places import private, runtime_directory
from lab.core.process import is_alive, this_process

_RECORD, _NEW = "node.json", ".new-"
MARK: Final = re.compile(rb"openvpn-routing-lab-[0-9a-f]{12}/[\w.-]+")
"""The form of a node's mark (`NodeDirectory.mark`)."""


@dataclass(frozen=True)
class Record:
    """The record of a node: written before anything of it is made."""

    lab: str
    node: str
    owner: str
    directory: str
    """The lab's directory."""
    image: str
    digest: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """The labels of its topology."""


@dataclass(frozen=True)
class NodeDirectory:
    """The directory of one node, named after its container."""

    path: Path

    @property
    def container(self) -> str:
        """The container's name."""
        return self.path.name

    @property
    def mark(self) -> str:
        """The source of the mount of its root file system, which all its processes have in their mount namespace."""
        place = hashlib.sha256(os.fsencode(self.path.parent)).hexdigest()[:12]
        return f"openvpn-routing-lab-{place}/{self.container}"

    @property
    def lower(self) -> Path:
        """The root file system of its image, a symbolic link."""
        return self.path / "lower"

    @property
    def bundle(self) -> Path:
        """The configuration for the runtime."""
        return self.path / "config.json"

    @property
    def runtime(self) -> Path:
        """The runtime's own state."""
        return self.path / "runtime"

    @property
    def log(self) -> Path:
        """The output of the first process."""
        return self.path / "log"

    @property
    def runtime_log(self) -> Path:
        """The messages of the runtime."""
        return self.path / "runtime.log"

    @property
    def paused(self) -> Path:
        """A file that exists while the node is paused."""
        return self.path / "paused"

    @property
    def check(self) -> Path:
        """The node's health check; missing if it has none."""
        return self.path / "check.json"

    @property
    def health(self) -> Path:
        """The state that the health check leads to; missing if the node has none."""
        return self.path / "health"

    @property
    def pid(self) -> int:
        """The host's id of the first process; 0 if there is none yet."""
        return _number(self.path / "pid") or 0

    @property
    def supervisor(self) -> int:
        """The host's id of the shell that runs the first process; 0 if there is none yet."""
        return _number(self.path / "supervisor") or 0

    @property
    def exit_code(self) -> int | None:
        """The exit code of the first process; None if it has not ended."""
        return _number(self.path / "exit")

    def read(self) -> Record:
        """Read the record; raises `FileNotFoundError` if the node is gone."""
        return Record(**json.loads((self.path / _RECORD).read_text()))


def nodes_directory() -> Path:
    """Return the directory of all nodes of this user, created if it is missing."""
    return private(runtime_directory() / "nodes")


def directory_of(container: str) -> NodeDirectory:
    """Return the directory of a container, which need not exist."""
    return NodeDirectory(nodes_directory() / container)


def recorded(lab: str | None = None) -> Iterator[tuple[NodeDirectory, Record]]:
    """Yield the nodes of a lab, or of every lab."""
    for entry in sorted(nodes_directory().iterdir()):
        if not entry.name.startswith(_NEW):
            try:
                record = NodeDirectory(entry).read()
            except (FileNotFoundError, NotADirectoryError):  # it is being removed
                continue
            if lab in (None, record.lab):
                yield NodeDirectory(entry), record


def create(
    container: str,
    record: Record,
    files: Mapping[str, str],
    directories: tuple[str, ...],
    links: Mapping[str, Path],
) -> NodeDirectory:
    """Create a node's directory with files, empty directories and symbolic links.

    Raises `InputError` if the name is taken, `EnvironmentBroken` if the directory cannot be written.
    """
    nodes = nodes_directory()
    new, final = nodes / f"{_NEW}{this_process()}-{container}", nodes / container
    try:
        new.mkdir(mode=0o700)
        for name in directories:
            (new / name).mkdir(mode=0o755)
        for name, target in links.items():
            (new / name).symlink_to(target)
        for name, content in {**files, _RECORD: json.dumps(asdict(record))}.items():
            (new / name).write_text(content)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise EnvironmentBroken(f"{record.node}: its directory {final} cannot be written: {error.strerror}") from error
    try:
        new.rename(final)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise InputError(
            f"a container named {container!r} exists already: give the lab another name, or take the other lab down"
        ) from error
    return NodeDirectory(final)


def remove(node: NodeDirectory) -> None:
    """Remove the directory of a node that has no process any more, its record last; a missing one is ignored."""
    try:
        entries = list(node.path.iterdir())
    except FileNotFoundError:
        return
    try:
        for entry in entries:
            if entry.name != _RECORD:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink(missing_ok=True)
        (node.path / _RECORD).unlink(missing_ok=True)
        node.path.rmdir()
    except FileNotFoundError:  # another process removes it as well
        return
    except OSError as error:
        raise EnvironmentBroken(f"{node.container}: {node.path} cannot be removed: {error.strerror}") from error


def sweep() -> None:
    """Remove directories without a record, which killed processes have left."""
    for entry in nodes_directory().iterdir():
        unfinished = entry.name.startswith(_NEW)
        if unfinished and is_alive("-".join(entry.name.removeprefix(_NEW).split("-")[:2])):
            continue
        if unfinished or not (entry / _RECORD).exists():
            shutil.rmtree(entry, ignore_errors=True)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
