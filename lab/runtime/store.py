"""A lab's directory: its topology, certificate authority, rendered files and logs."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.files import write_all
from lab.core.home import HOME, locked_home, remove_empty_home
from lab.core.places import lock_directory
from lab.engine.node import node_files

if TYPE_CHECKING:
    from lab.topology import Topology
    from lab.tunnel.pki import Authority

_TOPOLOGY = "topology.json"
_CERTIFICATE = "pki/ca.crt"
_KEY = "pki/ca.key"


class LabDirectory:
    """The directory of one lab."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def default(cls, name: str) -> "LabDirectory":
        """Return `.lab/NAME` below the current directory."""
        return cls(Path.cwd() / HOME / name)

    @property
    def exists(self) -> bool:
        """True if the directory holds a lab. Any other directory is left alone."""
        return (self.path / _TOPOLOGY).is_file()

    @property
    def nodes(self) -> frozenset[str]:
        """The names of the nodes that the lab starts; empty if its topology is missing or damaged."""
        nodes = self._read("nodes")
        if not isinstance(nodes, dict):
            return frozenset()
        return frozenset(name for name, node in nodes.items() if node.get("kind") != "ext-container")

    @property
    def has_management(self) -> bool:
        """True if the lab has a management network; False if its topology is missing or damaged."""
        return self._read("management") is not None

    @property
    def file(self) -> Path | None:
        """The file that the topology was read from; None if the lab's topology is missing or damaged."""
        file = self._read("file")
        return Path(file) if isinstance(file, str) else None

    def create(self, topology: "Topology") -> "Authority":
        """Create the directory of a lab, with a fresh authority, and render all files into it.

        A lab left there by an earlier run is removed first. Raises `InputError` if the directory holds anything else,
        and `EnvironmentBroken` if it cannot be written.
        """
        from lab.render.files import render
        from lab.render.node_certificates import node_certificates
        from lab.tunnel.pki import Authority

        try:
            if self.path.exists() and not self.exists and any(self.path.iterdir()):
                raise InputError(f"{self.path} is not empty and holds no lab: choose another directory")
            self.remove()
            self._make()
            (self.path / _TOPOLOGY).write_text(topology.model_dump_json(by_alias=True, indent=1))
            authority = Authority.new(f"{topology.name} lab")
            _write(self.path / _CERTIFICATE, authority.certificate, 0o644)
            _write(self.path / _KEY, authority.key, 0o600)
            render(topology, authority, self.roots(topology))
            write_all(node_certificates(topology), self.path)
            self._make_named(topology)
            self._write_hosts(topology)
            self._make_log_directories(topology)
        except OSError as error:
            raise EnvironmentBroken(f"{self.path}: {error.strerror}: the lab needs to write its files there") from error
        return authority

    def load(self) -> "Topology":
        """Return the topology; raises `InputError` if it is missing or damaged."""
        from lab.topology.model import Topology

        with self._reading():
            return Topology.model_validate_json((self.path / _TOPOLOGY).read_text())

    def _read(self, key: str) -> Any:
        """Return a value of the topology without its models, whose import takes longer than all else of `lab list`."""
        try:
            return json.loads((self.path / _TOPOLOGY).read_text())[key]
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def authority(self) -> "Authority":
        """Return the certificate authority; raises `InputError` if it is missing or damaged."""
        from lab.tunnel.pki import Authority

        with self._reading():
            return Authority.load((self.path / _CERTIFICATE).read_text(), (self.path / _KEY).read_text())

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise EnvironmentBroken(
                f"{self.path}: {error.strerror}: only the user who deployed the lab may read it: run this as root, or "
                "with sudo"
            ) from error
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path}: the lab's files are missing or damaged ({str(error).splitlines()[0]}): "
                "take the lab down and up again"
            ) from error

    def roots(self, topology: "Topology") -> Mapping[str, Path]:
        """Return the directory below which each node's files are rendered."""
        return {name: node_files(self.path, name) for name in topology.nodes}

    def remove(self) -> None:
        """Remove the directory if it holds a lab, and `.lab` with the last lab."""
        if not self.exists:
            return
        shutil.rmtree(self.path)
        if self.path.parent.name == HOME.name:
            remove_empty_home(self.path.parent)

    def _make(self) -> None:
        home = self.path.parent
        with locked_home(home) if home.name == HOME.name else nullcontext():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # configurations may hold passwords

    def _write_hosts(self, topology: "Topology") -> None:
        from lab.engine import HOSTS, LOCALHOST
        from lab.render.node_spec import has_hosts_file

        for name, node in topology.nodes.items():
            if has_hosts_file(node):
                _write(node_files(self.path, name) / HOSTS.relative_to("/"), LOCALHOST, 0o644)

    def _make_named(self, topology: "Topology") -> None:
        """Make what containerlab always does, if a node has it: an authority's directory, files that are filled later.

        The directory is empty if the user's authority signs.
        """
        from lab.topology.magic import CERTIFICATES, FILLED_LATER

        sources = " ".join(bind.partition(":")[0] for node in topology.nodes.values() for bind in node.binds)
        if CERTIFICATES in sources:
            (self.path / CERTIFICATES / "ca").mkdir(parents=True, exist_ok=True)
        for name in FILLED_LATER:
            if name in sources:
                _write(self.path / name, "", 0o644)

    def _make_log_directories(self, topology: "Topology") -> None:
        from lab.routing import daemon_of, plan_routers
        from lab.tunnel.mode import LOGS

        for root in self.roots(topology).values():
            root.mkdir(parents=True, exist_ok=True)
        for tunnel in topology.tunnels:
            for node in (tunnel.server, tunnel.client):
                (node_files(self.path, node) / LOGS.relative_to("/")).mkdir(parents=True, exist_ok=True)
        for process in topology.processes:
            (node_files(self.path, process.node) / LOGS.relative_to("/")).mkdir(parents=True, exist_ok=True)
        for plan in plan_routers(topology).values():
            daemon = daemon_of(plan)
            logs = node_files(self.path, plan.node) / daemon.logs.relative_to("/")
            logs.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(logs, *daemon.owner)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of a lab, so that no other process deploys or destroys it; the kernel releases it at exit."""
    path = lock_directory() / f"{name}.lock"
    fd = _lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)


def _lock(path: Path) -> int:
    """Open a lock file and lock it; its last holder removes it, so a file that was replaced is opened again."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        os.close(fd)


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
