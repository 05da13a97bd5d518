"""A lab's directory: its topology, its authority, the rendered files and the logs. Nothing else is remembered."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.home import HOME, entering, left
from lab.engine import HOSTS
from lab.engine.node import node_files
from lab.render.files import render
from lab.render.node_spec import brings_hosts
from lab.routing import daemon_of, plan_routers
from lab.topology import Topology
from lab.tunnel.mode import LOGS
from lab.tunnel.pki import Authority

_TOPOLOGY = "topology.json"
_CERTIFICATE = "pki/ca.crt"
_KEY = "pki/ca.key"
_HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


class LabDirectory:
    """The directory of one lab."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def default(cls, name: str) -> "LabDirectory":
        """`.lab/NAME` below the current directory."""
        return cls(Path.cwd() / HOME / name)

    @property
    def is_ours(self) -> bool:
        """True where a lab has been here; anything else is not touched."""
        return (self.path / _TOPOLOGY).is_file()

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes of the lab that has been here; none where that cannot be told."""
        try:
            return frozenset(self.load()[0].nodes)
        except InputError:
            return frozenset()

    def create(self, topology: Topology) -> Authority:
        """Lay out an empty directory for a lab, with a fresh authority, and render all files.

        What a lab that died left here is cleared away. Raises `InputError` where something else is here, and
        `EnvironmentBroken` where nothing can be written.
        """
        try:
            if self.path.exists() and not self.is_ours and any(self.path.iterdir()):
                raise InputError(f"{self.path} is not empty and holds no lab: choose another directory")
            self.remove()
            self._make()
            (self.path / _TOPOLOGY).write_text(topology.model_dump_json(by_alias=True, indent=1))
            authority = Authority.new(f"{topology.name} lab")
            _write(self.path / _CERTIFICATE, authority.certificate, 0o644)
            _write(self.path / _KEY, authority.key, 0o600)
            render(topology, authority, self.roots(topology))
            self._hosts(topology)
            self._log_directories(topology)
        except OSError as error:
            raise EnvironmentBroken(f"{self.path}: {error.strerror}: the lab needs to write its files there") from error
        return authority

    def load(self) -> tuple[Topology, Authority]:
        """What `create` wrote; raises `InputError` where it is gone or damaged."""
        try:
            topology = Topology.model_validate_json((self.path / _TOPOLOGY).read_text())
            authority = Authority.load((self.path / _CERTIFICATE).read_text(), (self.path / _KEY).read_text())
        except PermissionError as error:
            raise EnvironmentBroken(
                f"{self.path}: {error.strerror}: a lab is its owner's: run this as root, or with sudo"
            ) from error
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path} does not hold the lab's files any more ({str(error).splitlines()[0]}): "
                "take the lab down and up again"
            ) from error
        return topology, authority

    def roots(self, topology: Topology) -> Mapping[str, Path]:
        """Below which directory each node's files are rendered."""
        return {name: node_files(self.path, name) for name in topology.nodes}

    def remove(self) -> None:
        """Remove the directory, and `.lab` with the last one; only if a lab has been here."""
        if not self.is_ours:
            return
        shutil.rmtree(self.path)
        if self.path.parent.name == HOME.name:
            left(self.path.parent)

    def _make(self) -> None:
        home = self.path.parent
        with entering(home) if home.name == HOME.name else nullcontext():
            self.path.mkdir(parents=True, exist_ok=True)

    def _hosts(self, topology: Topology) -> None:
        for name, node in topology.nodes.items():
            if brings_hosts(node):
                _write(node_files(self.path, name) / HOSTS.relative_to("/"), _HOSTS, 0o644)

    def _log_directories(self, topology: Topology) -> None:
        for root in self.roots(topology).values():
            root.mkdir(parents=True, exist_ok=True)
        for tunnel in topology.tunnels:
            for node in (tunnel.server, tunnel.client):
                (node_files(self.path, node) / LOGS.relative_to("/")).mkdir(parents=True, exist_ok=True)
        for plan in plan_routers(topology).values():
            daemon = daemon_of(plan)
            logs = node_files(self.path, plan.node) / daemon.logs.relative_to("/")
            logs.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(logs, *daemon.owner)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Keep other processes from bringing the same lab up or down meanwhile; ends with the process at the latest."""
    directory = Path(tempfile.gettempdir()) / "openvpn-routing-lab"
    directory.mkdir(mode=0o1777, exist_ok=True)
    path = directory / f"{name}.lock"
    fd = _lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)


def _lock(path: Path) -> int:
    """Open a lock's file and hold it; whoever held it before has removed it, and then it is another file."""
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
