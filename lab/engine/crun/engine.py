"""The engine without a daemon: an OCI runtime, overlay mounts, and directories as the only state.

A node's root file system is an overlay over an image that was unpacked once. It is mounted in a mount namespace of the
node's own, so when its processes have ended, only its directory and its control groups are left on the host.
"""

import errno
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.places import host_uid
from lab.core.process import identity_of, is_alive
from lab.core.progress import Say
from lab.engine.base import Engine, ExecResult, Instance, LabNetwork, NodeSpec, NodeState
from lab.engine.crun import cgroups, health, processes, record
from lab.engine.crun.commands import Commands
from lab.engine.crun.record import NodeDirectory, Record
from lab.engine.links import NamespaceLinks
from lab.host.oci_runtime import oci_runtime, runtime_version

if TYPE_CHECKING:
    from lab.image.parcel import Parcel
    from lab.image.store import Unpacked
    from lab.topology import Node, Topology
    from lab.topology.model import Management

_SUPERVISE = Path(__file__).with_name("supervise.sh")
_AT_ONCE = 8
"""Nodes that are removed at the same time, as many as are started."""
_POLL = 0.002
_STARTED_WITHIN = 120.0
"""Seconds until the runtime has started a node's program; a loaded host may need some."""
_TAIL = 1 << 18
"""Bytes of a log that are searched for its last lines."""


class CrunEngine(NamespaceLinks, Engine):
    """Nodes as processes of an OCI runtime; thread-safe."""

    name = "crun"

    def __init__(self) -> None:
        self._commands = Commands()
        self._images: dict[str, Unpacked] = {}
        self._lock = threading.Lock()
        self._swept = False

    def version(self) -> str:
        """Return e.g. `crun 1.21`."""
        return runtime_version()

    def require_supported(self, topology: "Topology") -> None:
        """Refuse what needs a daemon: networks of its own, published ports, restarts, containers of Docker's."""
        from lab.engine.crun.bundle import settings_of

        if topology.management is not None:
            raise _unsupported(topology, "it has", "the management network (`mgmt`)", "has none")
        for name, node in topology.nodes.items():
            if node.borrowed:
                raise _unsupported(
                    topology, f"node {name!r} has", "kind 'ext-container'", "knows only its own containers"
                )
            mode, _, other = node.network_mode.partition(":")
            if mode == "container" and other not in topology.nodes:
                raise _unsupported(
                    topology,
                    f"node {name!r} has",
                    f"`network-mode: {node.network_mode}`",
                    "knows only its own containers",
                )
            for key, why in settings_of(node):
                raise _unsupported(topology, f"node {name!r} has", f"`{key}`", why)

    def provide(self, image: str, say: Say) -> str:
        """Build a missing image of the lab's own; `launch` unpacks it, and pulls others."""
        from lab.image.store import provide_unpacked

        reference = provide_unpacked(image, say)
        with self._lock:
            self._images.pop(reference, None)
        return reference

    def digest_of(self, image: str) -> str:
        """Look in the store of unpacked images, and in that of a Docker engine."""
        from lab.image import store

        found = store.find(image)
        return found.digest if found else ""

    def describe_image(self, image: str) -> "Parcel":
        """Add the image's configuration, and what its root file system needs where it is stored."""
        from lab.image import store, tree
        from lab.image.parcel import Parcel

        found = store.unpacked(image)
        needs = tree.needs_of(found.rootfs)
        details = {"configuration": store.configuration_of(found), "needs": asdict(needs)}
        return Parcel(self.name, image, found.digest, needs.size, details)

    def read_image(self, parcel: "Parcel") -> Iterator[bytes]:
        """Read the unpacked root file system."""
        from lab.image import store, tree

        found = store.stored(parcel.digest)
        if found is None:
            raise EnvironmentBroken(f"{parcel} was removed from this host while it was to be sent")
        return tree.read(found.rootfs)

    def write_image(self, parcel: "Parcel", chunks: Iterable[bytes]) -> None:
        """Write the root file system into the store of unpacked images."""
        from lab.image import store, tree

        tree.refuse_unstorable(tree.Needs(**parcel.details["needs"]), str(parcel))
        store.receive(
            parcel.reference, parcel.digest, parcel.details["configuration"], lambda rootfs: tree.write(chunks, rootfs)
        )

    def create_network(self, lab: str, management: "Management", directory: Path, owner: str, *, fixed: bool) -> str:
        """Refuse: `require_supported` does so earlier."""
        raise InputError(f"lab {lab!r}: the engine crun has no management network")

    def networks(self, lab: str | None = None) -> list[LabNetwork]:
        """Return nothing: this engine has no networks."""
        return []

    def remove_networks(self, lab: str) -> bool:
        """Do nothing: this engine has no networks."""
        return False

    def launch(self, spec: NodeSpec) -> Instance:
        """Create the node's directory, and start its first process in it."""
        runtime = oci_runtime()
        image = self._image(spec.node)
        self._sweep()
        node = _create(spec, image)
        _start(node, spec, runtime)
        if node.check.exists():
            health.start(node)
        return _instance(node, node.read())

    def borrow(self, container: str, lab: str, directory: Path) -> Instance:
        """Refuse: `require_supported` does so earlier."""
        raise InputError(f"the lab needs the container {container!r}, and the engine crun knows none but its own")

    def find(self, lab: str | None = None) -> list[Instance]:
        """Return all nodes that have a directory."""
        found = [_instance(node, known) for node, known in record.recorded(lab)]
        return sorted(found, key=lambda i: (i.lab, i.node))

    def exec(self, instance: Instance, argv: Sequence[str]) -> ExecResult:
        """Run a command in the namespaces of a node."""
        return self._commands.run(instance.node, _running(instance), instance.pid, argv)

    def spawn(self, instance: Instance, argv: Sequence[str]) -> Callable[[], bool]:
        """Start a command as a child of the node's first process."""
        pid = self._commands.start(instance.node, _running(instance), instance.pid, argv)
        identity = identity_of(pid)
        return lambda: is_alive(identity)

    def attach_argv(self, instance: Instance, argv: Sequence[str], *, tty: bool) -> list[str]:
        """Use the runtime, which knows how to pass a terminal on."""
        node = _running(instance)
        options = ["--tty"] if tty else []
        return [oci_runtime(), "--root", str(node.runtime), "exec", *options, instance.container, *argv]

    def pause(self, instance: Instance) -> None:
        """Freeze a node's control group; without one, stop all its processes."""
        node = _running(instance)
        node.paused.touch()
        if cgroups.can_freeze():
            cgroups.freeze(node.container)
        else:
            processes.stop_all(instance.pid)

    def resume(self, instance: Instance) -> None:
        """Continue a paused node."""
        node = record.directory_of(instance.container)
        if cgroups.can_freeze():
            cgroups.thaw(node.container)
        else:
            processes.continue_all(instance.pid)
        node.paused.unlink(missing_ok=True)

    def unlock_network_parameters(self, instances: Sequence[Instance]) -> None:
        """Mount /proc/sys/net again, writable; the bundle mounts /proc/sys read-only."""
        from lab.engine.parameters import unlock

        unlock([instance.pid for instance in instances])

    def output(self, instance: Instance, lines: int = 20) -> str:
        """Return the end of the node's log."""
        try:
            with record.directory_of(instance.container).log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
                printed = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(printed[-lines:] if lines else []).strip()

    def memory(self, instance: Instance) -> int:
        """Return the anonymous memory of the node's control group, or of its processes if it has none."""
        known = cgroups.anonymous_memory(instance.container)
        return processes.anonymous_memory(instance.pid) if known is None else known

    def destroy(self, instances: Sequence[Instance]) -> None:
        """Kill all processes of nodes, then remove their control groups and directories."""
        nodes = [record.directory_of(instance.container) for instance in instances]
        for node in nodes:
            cgroups.thaw(node.container)
        if nodes:
            processes.kill_all(nodes)
            with ThreadPoolExecutor(_AT_ONCE) as pool:  # the kernel takes its time for each control group
                list(pool.map(_remove, nodes))
        record.sweep()

    def _image(self, node: "Node") -> "Unpacked":
        from lab.image.store import unpacked

        reference = node.image or ""
        with self._lock:
            if reference not in self._images:
                try:
                    self._images[reference] = unpacked(reference, node.image_pull_policy)
                except InputError as error:
                    raise InputError(f"node {node.name!r}: {error}") from error
            return self._images[reference]

    def _sweep(self) -> None:
        """Remove what killed processes left, once."""
        with self._lock:
            if not self._swept:
                record.sweep()
                self._swept = True


def _unsupported(topology: "Topology", where: str, what: str, why: str) -> InputError:
    return InputError(
        f"{topology.file}: {where} {what}, and the engine crun {why}: remove it, or use Docker with `--engine docker`"
    )


def _remove(node: NodeDirectory) -> None:
    """Remove the control groups and the directory of a node without processes."""
    cgroups.remove(node.container)
    record.remove(node)


def _create(spec: NodeSpec, image: "Unpacked") -> NodeDirectory:
    from lab.engine.crun import bundle  # its models import pydantic, which commands that only look at nodes do without

    node = spec.node
    final = record.directory_of(spec.container)
    host = spec.node.network_mode == "host"
    network = None if host else _joined(node.name, spec.beside, "net")
    beside = spec.processes_of.removeprefix("container:")
    processes_of = None if spec.processes_of == "host" else _joined(node.name, beside, "pid")
    made = bundle.bundle(spec, image, final.path, network=network, processes=processes_of)
    known = Record(
        spec.lab, node.name, spec.owner, str(spec.directory), node.image or "", image.digest, dict(node.labels)
    )
    files = {**made.files, final.bundle.name: json.dumps(made.configuration), "log": ""}
    if check := health.check_of(node, image.config):
        files |= {final.check.name: json.dumps(asdict(check)), final.health.name: health.STARTING}
    volumes = tuple(f"{bundle.VOLUMES}/{name}" for name in made.volumes)
    directories = ("upper", "work", "root", bundle.VOLUMES, *volumes)
    return record.create(spec.container, known, files, directories, {final.lower.name: image.rootfs})


def _joined(name: str, container: str, kind: str) -> str:
    """Return the file of a namespace of another node; empty without another."""
    if not container:
        return ""
    other = record.directory_of(container)
    if not processes.is_of(other.pid, other):
        raise InputError(f"node {name!r}: container {container!r}, whose namespace it shares, does not run")
    return f"/proc/{other.pid}/ns/{kind}"


def _start(node: NodeDirectory, spec: NodeSpec, runtime: str) -> None:
    """Start the supervisor of a node, and wait until its program runs or has ended."""
    options = "" if host_uid() == 0 else ",userxattr"
    argv = ["unshare", "--mount", "--propagation", "slave", "sh", str(_SUPERVISE)]
    argv += [node.mark, runtime, node.container, options, "terminal" if spec.terminal else ""]
    if cgroups.path_of(node.container) is None and Path(runtime).name == "crun":
        argv.append("--cgroup-manager=disabled")  # else it fails where it cannot write them; runc does without
    with node.log.open("ab") as log:
        master, slave = os.openpty() if spec.terminal else (None, None)
        try:
            supervisor = subprocess.Popen(
                argv,
                cwd=node.path,
                stdin=subprocess.DEVNULL if master is None else master,
                stdout=log if slave is None else slave,
                stderr=log if slave is None else slave,
                start_new_session=True,
            )
        except OSError as error:
            raise EnvironmentBroken(f"{spec.node.name}: `{argv[0]}` cannot be started: {error.strerror}") from error
        finally:
            for end in (master, slave):
                if end is not None:
                    os.close(end)
    began = time.monotonic()
    while not _has_started(node):
        ended = supervisor.poll() is not None
        if ended or node.exit_code is not None:
            if node.exit_code is not None and node.pid and not _reason(node):  # the program has ended
                return
            could_not_write = supervisor.poll() == errno.ENOSPC
            raise EnvironmentBroken(f"{spec.node.name}: {_failure(node, runtime, could_not_write=could_not_write)}")
        passed = time.monotonic() - began
        if passed > _STARTED_WITHIN:
            raise EnvironmentBroken(
                f"{spec.node.name}: {Path(runtime).name} did not start it in {_STARTED_WITHIN:.0f} s"
            )
        time.sleep(max(_POLL, passed / 10))  # a tenth later at most: a busy host needs the time for the runtime


def _failure(node: NodeDirectory, runtime: str, *, could_not_write: bool) -> str:
    """Say why a node could not be started; on a full disk nothing else could be noted.

    The disk may have space again since the supervisor could not write, as what another node wrote is gone.
    """
    disk = os.statvfs(node.path)
    if could_not_write or disk.f_bavail == 0 or (disk.f_files and disk.f_favail == 0):
        return f"the disk is full: free some space below {node.path.parent}"
    return f"{Path(runtime).name} refused: {_reason(node) or 'no reason given'}"


def _reason(node: NodeDirectory) -> str:
    """Return why the runtime or mount(8) could not start a node; empty if its program was started."""
    try:
        messages = node.runtime_log.read_text(errors="replace").splitlines()
    except FileNotFoundError:  # mount(8) has failed
        return (node.log.read_text(errors="replace").strip().splitlines() or ["no reason given"])[-1]
    errors = [line for line in messages if line.strip() and "level=warning" not in line and "level=info" not in line]
    if not errors:
        return ""
    return (errors[-1].partition('msg="')[2].rpartition('"')[0] or errors[-1]).replace('\\"', '"').strip()


def _has_started(node: NodeDirectory) -> bool:
    """Return whether a node's program runs: until then its first process is the runtime's."""
    return processes.is_of(node.pid, node) and not processes.is_runtime(node.pid)


def _running(instance: Instance) -> NodeDirectory:
    """Return the directory of a node that can run a command; raises `EnvironmentBroken`."""
    node = record.directory_of(instance.container)
    if node.paused.exists():
        raise EnvironmentBroken(f"{instance.node}: it is paused: `lab fault undo`, or resume it")
    if node.lower.is_symlink() and not node.lower.exists():
        raise EnvironmentBroken(f"{instance.node}: its image was deleted while it runs: take the lab down and up again")
    return node


def _health(node: NodeDirectory) -> str | None:
    try:
        return node.health.read_text()
    except FileNotFoundError:
        return None


def _instance(node: NodeDirectory, known: Record) -> Instance:
    pid, exit_code = node.pid, node.exit_code
    # The exit code is known a moment after the end, when the supervisor has written it.
    runs = exit_code is None and any(processes.is_of(each, node) for each in (pid, node.supervisor))
    if runs:
        state = NodeState.PAUSED if node.paused.exists() else NodeState.RUNNING if pid else NodeState.CREATED
    else:
        state = NodeState.STOPPED if pid else NodeState.CREATED  # without a process the runtime could not start it
    return Instance(
        lab=known.lab,
        node=known.node,
        container=node.container,
        image=known.image,
        state=state,
        directory=Path(known.directory),
        owner=known.owner,
        pid=pid if runs else 0,
        exit_code=exit_code if state is NodeState.STOPPED else None,
        health=_health(node),
        digest=known.digest,
    )
