"""The virtual machine: a container in which QEMU runs Debian's cloud kernel, a Docker engine and the host's programs.

The container has no network, and no privilege except `/dev/kvm` if that works. The virtual machine sees the host's
programs, the project and its virtual environment, all read-only, and one directory shared with the host: it runs the
script that is put there as `job`. As with labs, the containers' labels are the only record of which VMs exist.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

from lab.core.errors import EnvironmentBroken, ExpectationFailed, InputError, LabError
from lab.core.expect import POLL, Expectation, wait_for
from lab.core.home import HOME, locked_home, remove_empty_home
from lab.core.process import is_alive, this_process
from lab.core.progress import Say, quiet
from lab.engine import Mount
from lab.engine.docker.containers import Container, Containers, ContainerSpec
from lab.host.doctor import available_memory
from lab.image import VERSIONS, Recipe, ensure, ensure_image

RECIPE = Recipe("vm", "QEMU, Debian's newest cloud kernel and a Docker engine")
LABEL = "openvpn-routing-lab.vm"
"""Label of the containers of virtual machines; its value is the VM's name."""
_LABEL_OWNER = "openvpn-routing-lab.vm-owner"
_LABEL_DIRECTORY = "openvpn-routing-lab.vm-directory"
_LABEL_PROJECT = "openvpn-routing-lab.vm-project"
KEPT = "kept"
"""Name of the virtual machine that `lab vm up` boots, and that tests use while it runs."""

BOOT = 300.0
"""Seconds until its first process runs: 5 under emulation on two idle cores."""
BOOTS = 2
"""Attempts to boot a VM that hangs before its first process runs, as seen once under emulation."""
READY = 240.0
"""Seconds until its engine answers: 10 under emulation on two idle cores."""
PREPARE = 900.0
"""Seconds to load the nodes' images: 30 on idle cores."""
RUNNING_EVERY = 1.0
"""Seconds between two checks with the engine that a silent VM still runs; checking for a file is cheap."""
_END = 30.0
_TAIL = 6
"""Lines of the console in an error."""
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_FILES = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/localtime")
_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP", "SETGID", "SETPCAP", "SETUID"]
"""Capabilities that virtiofsd needs: it opens files with the user ids that the guest names."""
_MEMORY = 4096
"""MiB: enough for the engine and two labs of ten nodes."""


@dataclass(frozen=True)
class VirtualMachine:
    """A running virtual machine. Close it, or use it as a context manager."""

    name: str
    container: str
    directory: Path
    """Directory shared with the VM, where it is `/run/share`."""
    project: Path | None = None
    """The project directory that it sees."""
    lock: IO[bytes] | None = None
    """Locked while the owner runs: the container ends itself when the kernel releases the lock (flock(2))."""

    # --- lifecycle ------------------------------------------------------------------------------------------------

    @classmethod
    def boot(
        cls,
        name: str,
        project: Path,
        *,
        owner: str = "",
        versions: Sequence[str] = VERSIONS,
        append: str = "",
        wait: bool = True,
        say: Say = quiet,
    ) -> Self:
        """Boot a virtual machine that sees a project; return when its engine answers, or without `wait` once it boots.

        The VM ends with the process `owner`; see `lab.core.process`. Nodes of its labs can run the OpenVPN `versions`
        only: under emulation each takes minutes to load, once. `append` is added to the kernel's command line. Raises
        `InputError` if a VM of this name runs, `EnvironmentBroken` with the console's last lines if it does not boot.
        """
        containers = Containers.connect()
        if existing := containers.find(f"{LABEL}={name}"):
            where = existing[0].labels.get(_LABEL_PROJECT) or "its directory"
            raise InputError(f"a virtual machine {name!r} runs already: `lab vm down` in {where} ends it")
        _check_memory()
        image = ensure_image(None, RECIPE, say)
        disk = _prepared(containers, image, versions, say)
        say(f"booting the virtual machine {name} ({accelerator(containers, image)})")
        machine = cls._booted(say, containers, image, disk, name, "boot", project, owner, append)
        if wait:
            try:
                machine.wait_ready()
            except BaseException:
                machine.close()
                raise
        return machine

    @classmethod
    def _booted(cls, say: Say, containers: Containers, *what: Any) -> Self:
        """Start a VM, and return when its first process runs."""
        for number in range(1, BOOTS + 1):
            machine = cls._start(containers, *what)
            try:
                machine._wait("booted", "boot", BOOT)
            except BaseException as error:
                machine.close()
                if number == BOOTS or not isinstance(error, ExpectationFailed):
                    raise
                say(f"{error}: booting it again")
            else:
                break
        return machine

    @classmethod
    def _start(
        cls,
        containers: Containers,
        image: str,
        disk: Path,
        name: str,
        what: str,
        project: Path | None,
        owner: str,
        append: str = "",
    ) -> Self:
        if project is not None:
            with locked_home(project / HOME):
                _hold_file(project, name).touch()
        directory = Path(tempfile.mkdtemp(prefix=f"openvpn-routing-lab-{name}-"))
        chosen = accelerator(containers, image)
        shares = shared_paths(project)
        (directory / "shown").write_text("".join(f"{share} {path}\n" for share, path in shares))
        lock = None
        if owner:
            lock = (directory / "owner").open("wb")
            fcntl.flock(lock, fcntl.LOCK_EX)
        mounts = [
            Mount(directory, PurePosixPath("/share"), read_only=False),
            Mount(disk, PurePosixPath("/var/lib/machine"), read_only=what == "boot"),
            *(Mount(path, PurePosixPath(f"/host{path}")) for path in _outermost(path for _, path in shares)),
        ]
        spec = ContainerSpec(
            image,
            [what],
            f"openvpn-routing-lab-vm-{name}",
            _CAPABILITIES,
            devices=["/dev/kvm"] if chosen == "kvm" else [],
            environment={
                "ACCELERATOR": chosen,
                "MEMORY": str(_MEMORY),
                "PROCESSORS": str(_processors()),
                "APPEND": append,
            },
            mounts=mounts,
            labels={
                LABEL: name,
                _LABEL_OWNER: owner,
                _LABEL_DIRECTORY: str(directory),
                _LABEL_PROJECT: str(project or ""),
            },
        )
        try:
            container = containers.start(spec)
        except InputError as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise InputError(f"a virtual machine {name!r} runs already: `lab vm down` ends it") from error
        except LabError:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return cls(name, container.id, directory, project, lock)

    def wait_ready(self, within: float = READY) -> None:
        """Wait until its engine answers; raises `EnvironmentBroken` with the console's last lines."""
        self._wait("ready", "be ready", within)

    def power_off(self, within: float = _END) -> None:
        """Shut it down, so that its disk is written."""
        (self.directory / "off").touch()
        wait_for(
            Expectation(
                what="the virtual machine to power off",
                node=self.name,
                look=lambda: self.running,
                met=lambda running: not running,
                seen=lambda _: self.describe_console(),
            ),
            within=within,
        )

    def close(self) -> None:
        """Kill it, and remove its directory."""
        Containers.connect().remove(self.container)
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.project is not None:
            _hold_file(self.project, self.name).unlink(missing_ok=True)
            remove_empty_home(self.project / HOME)
        if self.lock is not None:
            self.lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- work ------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """True if it runs."""
        return Containers.connect().is_running(self.container)

    def begin(self, script: str, *, separate_stderr: bool = False) -> None:
        """Start a shell script as root in the VM's own root directory; one at a time.

        Its output goes to `output.log`, and with `separate_stderr` its stderr to `errors.log`.
        """
        for name in ("exit", "output.log", "errors.log"):
            (self.directory / name).unlink(missing_ok=True)
        new = self.directory / "job.new"
        new.write_text(f"exec 2> /run/share/errors.log\n{script}" if separate_stderr else script)
        new.rename(self.directory / "job")

    def exit_code(self) -> int | None:
        """Return the job's exit code; None while it runs."""
        try:
            return int((self.directory / "exit").read_text())
        except OSError:
            return None

    def run(self, script: str, within: float) -> int:
        """Run a script, wait for its end and return its exit code."""
        self.begin(script)
        self._wait("exit", "finish its job", within)
        code = self.exit_code()
        assert code is not None
        return code

    @property
    def busy(self) -> bool:
        """True if a job runs."""
        return any((self.directory / name).exists() for name in ("job", "running"))

    def copy_logs(self, into: Path) -> None:
        """Copy its console, its engine's log and its job's output into a directory."""
        into.mkdir(parents=True, exist_ok=True)
        for name in ("console.log", "dockerd.log", "output.log", "errors.log"):
            if (self.directory / name).exists():
                shutil.copy(self.directory / name, into / name)

    def console(self, lines: int = _TAIL) -> str:
        """Return the last lines of its console; after a kernel panic, the lines with its reason."""
        try:
            text = (self.directory / "console.log").read_bytes().decode(errors="replace")
        except OSError:
            return ""
        printed = [line.rstrip() for line in text.splitlines() if line.strip()]
        panic = next((number for number, line in enumerate(printed) if "Kernel panic" in line), None)
        return "\n".join(printed[-lines:] if panic is None else printed[max(0, panic - 1) :][:lines])

    def describe_console(self) -> str:
        """Return the console's last lines, or else QEMU's, as a clause for an error message."""
        if printed := self.console():
            return "the console's last lines: " + printed.replace("\n", " | ")
        try:
            printed = Containers.connect().output(self.container, _TAIL).replace("\n", " | ")
        except EnvironmentBroken:
            printed = ""
        return f"its console is empty, and QEMU printed: {printed}" if printed else "its console is empty"

    def _wait(self, file: str, what: str, within: float) -> None:
        """Wait for a file that the VM creates, as long as it runs."""

        def look() -> tuple[bool, bool]:
            there = (self.directory / file).exists()
            return there, there or self.running

        def changed(seconds: float) -> None:
            until = time.monotonic() + min(seconds, RUNNING_EVERY)
            while not (self.directory / file).exists() and time.monotonic() < until:
                time.sleep(POLL)

        there, _ = wait_for(
            Expectation(
                what=f"the virtual machine to {what}",
                node=self.name,
                look=look,
                met=lambda seen: seen[0] or not seen[1],
                seen=lambda _: self.describe_console(),
                changed=changed,
            ),
            within=within,
            grace=0,
        )
        if not there:
            raise EnvironmentBroken(f"the virtual machine ended before it could {what}; {self.describe_console()}")


def _hold_file(project: Path, name: str) -> Path:
    """Return a file that prevents the removal of `.lab`, over which the VM mounts its own."""
    return project / HOME / f".vm-{name}"


# --- existing virtual machines -----------------------------------------------------------------------------------


def sweep_virtual_machines() -> list[str]:
    """End the virtual machines whose owner has ended; return their names."""
    swept = []
    for container in Containers.connect().find(LABEL):
        owner = container.labels.get(_LABEL_OWNER, "")
        if owner and not is_alive(owner):
            _from_container(container).close()
            swept.append(container.labels[LABEL])
    return swept


def virtual_machines() -> list[VirtualMachine]:
    """Return all virtual machines of this host."""
    return [_from_container(container) for container in Containers.connect().find(LABEL)]


def kept(project: Path) -> VirtualMachine | None:
    """Return the virtual machine that `lab vm up` booted for this project, or None."""
    found = (m for m in virtual_machines() if m.name == KEPT and m.project == project and m.running)
    return next(found, None)


def has_room(count: int) -> bool:
    """Return whether this host has free memory for `count` virtual machines."""
    return _available() >= count * _MEMORY


def _check_memory() -> None:
    """Raise `EnvironmentBroken` if the memory for a virtual machine is not free."""
    if not has_room(1):
        raise EnvironmentBroken(
            f"the virtual machine needs {_MEMORY} MiB of memory and {_available()} are free: stop other programs"
        )


def _available() -> int:
    """Return the MiB of available memory."""
    return (available_memory(Path("/proc/meminfo").read_text()) or 0) >> 20


def _from_container(container: Container) -> VirtualMachine:
    labels = container.labels
    project = labels.get(_LABEL_PROJECT, "")
    return VirtualMachine(
        labels[LABEL], container.id, Path(labels[_LABEL_DIRECTORY]), Path(project) if project else None
    )


# --- its parts ---------------------------------------------------------------------------------------------------


def shared_paths(project: Path | None) -> list[tuple[str, str]]:
    """Return the host's paths that a VM sees: pairs of share and path, parents before their children.

    The share `programs` has this interpreter and its libraries and is cached while the VM runs; the share `project` is
    not, because its files change.
    """
    # Without its cache scapy parses its tables of protocols, which takes an emulated processor eight seconds.
    programs = _outermost([*_SYSTEM, *_FILES, sys.base_prefix, sys.prefix, caches() / "scapy"])
    projects = _outermost([Path(__file__).parents[2], *([project] if project is not None else [])])
    return sorted(
        [*(("programs", str(path)) for path in programs), *(("project", str(path)) for path in projects)],
        key=lambda one: len(Path(one[1]).parts),
    )


def _outermost(paths: Iterable[str | Path]) -> list[Path]:
    """Return the paths that exist and are not below another one."""
    chosen: list[Path] = []
    for path in sorted({Path(path) for path in paths}, key=lambda path: len(path.parts)):
        if path.exists() and not any(path.is_relative_to(other) for other in chosen):
            chosen.append(path)
    return chosen


def accelerator(containers: Containers, image: str) -> str:
    """Return `kvm` if it runs the VM's kernel, else `tcg`: the device can exist and not work."""
    if "accelerator" not in _cached:
        _cached["accelerator"] = "kvm" if Path("/dev/kvm").exists() and _kvm_works(containers, image) else "tcg"
    return _cached["accelerator"]


_cached: dict[str, str] = {}


def _kvm_works(containers: Containers, image: str) -> bool:
    return containers.succeeds(image, ["try-kvm"], devices=["/dev/kvm"])


def _processors() -> int:
    return min(4, len(os.sched_getaffinity(0)))


# --- the disk ----------------------------------------------------------------------------------------------------


def caches() -> Path:
    """Return the user's cache directory (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def disks() -> Path:
    """Return the directory of the disks that hold the nodes' images."""
    return caches() / "openvpn-routing-lab" / "vm"


def remove_disks() -> None:
    """Remove all disks; the next VM makes its own."""
    shutil.rmtree(disks(), ignore_errors=True)


def _prepared(containers: Containers, image: str, versions: Sequence[str], say: Say) -> Path:
    """Return a directory with a disk that holds the nodes' images; made once for each set of them."""
    nodes = [ensure(None, version, say) for version in versions]
    # The disk is an overlay of the image's own, which another build of the same recipe replaces.
    base = containers.image_id(image).rpartition(":")[2][:12]
    disks().mkdir(parents=True, exist_ok=True)
    with _one_at_a_time():
        needed = [node.rpartition("-")[2] for node in nodes]
        existing = [directory for directory in disks().iterdir() if directory.is_dir()]
        for directory in existing:
            holds = directory.name.split("-")
            if holds[0] == base and set(needed) <= set(holds) and (directory / "disk.qcow2").exists():
                return directory
        for old in existing:  # its base no longer exists, or the new disk has all of its images
            if not old.name.startswith(f"{base}-") or set(old.name.split("-")) <= {base, *needed}:
                shutil.rmtree(old)
        directory = disks() / "-".join([base, *needed])
        directory.mkdir()
        say(
            f"preparing the virtual machine's disk with the nodes' images (OpenVPN {', '.join(versions)}), some minutes"
        )
        _prepare(containers, image, directory, nodes, say)
    return directory


def _prepare(containers: Containers, image: str, directory: Path, nodes: Sequence[str], say: Say) -> None:
    name = f"disk-{os.getpid()}"
    with VirtualMachine._booted(say, containers, image, directory, name, "prepare", None, this_process()) as machine:
        for number, node in enumerate(nodes):
            containers.save_image(node, machine.directory / f"{number}.tar")
        machine.wait_ready()
        code = machine.run("set -e; for tar in /run/share/*.tar; do docker load --quiet --input $tar; done", PREPARE)
        if code:
            lines = (machine.directory / "output.log").read_text(errors="replace").strip().splitlines()
            raise EnvironmentBroken(
                f"the virtual machine cannot load the nodes' images: {lines[-1] if lines else 'no reason given'}"
            )
        (machine.directory / "prepared").touch()
        machine.power_off()
    if not (directory / "disk.qcow2").exists():
        raise EnvironmentBroken(f"the virtual machine's disk was not kept in {directory}")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold the disks' lock; the kernel releases it however this process ends."""
    with (disks() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
