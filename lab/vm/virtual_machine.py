"""The virtual machine: a container in which QEMU runs Debian's cloud kernel, an OCI runtime and the host's programs.

The container has no network, and no privilege except `/dev/kvm` if that works. The virtual machine sees the host's
programs, the unpacked images of nodes, the project and its virtual environment, all read-only, and one directory shared
with the host: it runs the script that is put there as `job`. Its labs run on the engine crun. As with labs, the
containers' labels are the only record of which VMs exist.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

from lab.core.errors import EnvironmentBroken, ExpectationFailed, InputError, LabError
from lab.core.expect import POLL, Expectation, wait_for
from lab.core.home import HOME, locked_home, remove_empty_home
from lab.core.places import host_uid
from lab.core.process import is_alive
from lab.core.progress import Say, quiet
from lab.engine import Mount
from lab.engine.docker.containers import Container, Containers, ContainerSpec
from lab.host.doctor import available_memory
from lab.image import NODE_IMAGE, VERSIONS, Recipe, ensure_image
from lab.image.store import images_directory, provide_unpacked, unpacked

RECIPE = Recipe("vm", "QEMU, and Debian's newest cloud kernel")
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
RUNNING_EVERY = 1.0
"""Seconds between two checks with the engine that a silent VM still runs; checking for a file is cheap."""
_TAIL = 6
"""Lines of the console in an error."""
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_FILES = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/localtime")
_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP", "SETGID", "SETPCAP", "SETUID"]
"""Capabilities that virtiofsd needs: it opens files with the user ids that the guest names."""
_MEMORY = 4096
"""MiB: enough for two labs of ten nodes."""


@dataclass(frozen=True)
class VirtualMachine:
    """A running virtual machine. Close it, or use it as a context manager."""

    name: str
    container: str
    directory: Path
    """Directory shared with the VM, where it is `/run/share`."""
    project: Path
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
        say: Say = quiet,
    ) -> Self:
        """Boot a virtual machine that sees a project; return when its first process runs.

        The VM ends with the process `owner`; see `lab.core.process`. Nodes of its labs run the OpenVPN `versions`,
        whose images are unpacked on the host. `append` is added to the kernel's command line. Raises `InputError` if a
        VM of this name runs, `EnvironmentBroken` with the console's last lines if it does not boot.
        """
        if host_uid() != 0:  # its root would not be the owner of an ordinary user's images
            raise EnvironmentBroken("the virtual machine shares root's unpacked images: run it as root")
        containers = Containers.connect()
        if existing := containers.find(f"{LABEL}={name}"):
            where = existing[0].labels.get(_LABEL_PROJECT) or "its directory"
            raise InputError(f"a virtual machine {name!r} runs already: `lab vm down` in {where} ends it")
        _check_memory()
        image = ensure_image(None, RECIPE, say)
        for version in versions:
            unpacked(provide_unpacked(f"{NODE_IMAGE}:{version}", say))
        say(f"booting the virtual machine {name} ({accelerator(containers, image)})")
        return cls._booted(say, containers, image, name, project, owner, append)

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
        name: str,
        project: Path,
        owner: str,
        append: str,
    ) -> Self:
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
            *(Mount(path, PurePosixPath(f"/host{path}")) for path in _outermost(path for _, path in shares)),
        ]
        spec = ContainerSpec(
            image,
            ["boot"],
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
                _LABEL_PROJECT: str(project),
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

    def close(self) -> None:
        """Kill it, and remove its directory."""
        Containers.connect().remove(self.container)
        shutil.rmtree(self.directory, ignore_errors=True)
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
        """Start a shell script as root with the host's programs; one at a time.

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
        """Copy its console and its job's output into a directory."""
        into.mkdir(parents=True, exist_ok=True)
        for name in ("console.log", "output.log", "errors.log"):
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
    return VirtualMachine(labels[LABEL], container.id, Path(labels[_LABEL_DIRECTORY]), Path(labels[_LABEL_PROJECT]))


# --- its parts ---------------------------------------------------------------------------------------------------


def shared_paths(project: Path) -> list[tuple[str, str]]:
    """Return the host's paths that a VM sees: pairs of share and path, parents before their children.

    The share `programs` has this interpreter, its libraries and the nodes' images, and is cached while the VM runs; the
    share `project` is not, because its files change.
    """
    # Without its cache scapy parses its tables of protocols, which takes an emulated processor eight seconds.
    programs = _outermost([*_SYSTEM, *_FILES, sys.base_prefix, sys.prefix, caches() / "scapy", images_directory()])
    projects = _outermost([Path(__file__).parents[2], project])
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


def caches() -> Path:
    """Return the user's cache directory (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
