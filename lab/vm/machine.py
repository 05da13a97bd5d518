"""The machine: one container in which QEMU runs Debian's cloud kernel, with a Docker engine and the host's programs.

The container has no network, and no privilege but, where it works, `/dev/kvm`. The machine sees the host's programs,
the project and its virtual environment, all read-only, and one directory for both: what is put there as `job` is run.
Labels of the container are the only truth about which machines exist, as with labs.
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
from pathlib import Path
from typing import IO, Any, Self

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.types import Mount

from lab.core.errors import EnvironmentBroken, ExpectationFailed, InputError
from lab.core.expect import POLL, Expectation, wait_for
from lab.core.home import HOME, entering, left
from lab.core.process import is_alive, this_process
from lab.core.progress import Say
from lab.host import docker_engine
from lab.host.doctor import available_memory
from lab.image import VERSIONS, Recipe, ensure, ensure_image

RECIPE = Recipe("vm", "QEMU, Debian's newest cloud kernel and a Docker engine")
LABEL = "openvpn-routing-lab.machine"
"""On the containers of machines; the value is the machine's name."""
_LABEL_OWNER = "openvpn-routing-lab.machine-owner"
_LABEL_DIRECTORY = "openvpn-routing-lab.machine-directory"
_LABEL_PROJECT = "openvpn-routing-lab.machine-project"
KEPT = "kept"
"""The name of the machine that `lab vm up` boots, and that tests use where it runs."""

BOOT = 90.0
"""Seconds until its first process runs: five in pure emulation on two idle cores."""
BOOTS = 2
"""How often a machine is booted that hangs before that, which was seen once in emulation, and never again."""
READY = 240.0
"""Seconds until its engine answers: ten in pure emulation on two idle cores."""
PREPARE = 900.0
"""Seconds to take in the nodes' images: half a minute on idle cores."""
ASKED = 1.0
"""Seconds between two looks whether a silent machine still runs: a file costs nothing to look at, the engine does."""
_END = 30.0
_TAIL = 6
"""Lines of the console that an error shows."""
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_FILES = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/localtime")
_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP", "SETGID", "SETPCAP", "SETUID"]
"""Those that virtiofsd wants to restrict itself to: it opens files as whom the machine says."""
_MEMORY = 4096
"""MiB; two labs of ten nodes and the engine fit."""


@dataclass(frozen=True)
class Machine:
    """A machine that runs. Close it, or use it as a context."""

    name: str
    container: str
    directory: Path
    """Shared with the machine, which has it as `/run/share`."""
    project: Path | None = None
    """What it sees of the host's besides programs."""
    lock: IO[bytes] | None = None
    """Held as long as its owner lives: the container ends itself when the kernel lets go of it (flock(2))."""

    # --- life ------------------------------------------------------------------------------------------------

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
        say: Say = lambda _: None,
    ) -> Self:
        """Boot a machine that sees a project, and return when its engine answers; without `wait`, as soon as it works.

        `owner` is the process that it ends with; see `lab.core.process`. The nodes of its labs can have the `versions`
        of OpenVPN, and no others: in emulation each takes minutes to get there, once. `append` goes to the kernel's
        command line. Raises `InputError` where one of this name runs, `EnvironmentBroken` with the console's last
        lines where it does not come up.
        """
        client = docker_engine.connect()
        if there := _containers(client, name):
            where = there[0].labels.get(_LABEL_PROJECT) or "its directory"
            raise InputError(f"a machine {name!r} runs already: `lab vm down` in {where} ends it")
        _check_memory()
        image = ensure_image(client, RECIPE, say)
        disk = _prepared(client, image, versions, say)
        say(f"booting the machine {name} ({accelerator(client, image)})")
        machine = cls._booted(say, client, image, disk, name, "boot", project, owner, append)
        if wait:
            try:
                machine.wait_ready()
            except BaseException:
                machine.close()
                raise
        return machine

    @classmethod
    def _booted(cls, say: Say, client: docker.DockerClient, *what: Any) -> Self:
        """Start one, and return when its first process runs."""
        for number in range(1, BOOTS + 1):
            machine = cls._start(client, *what)
            try:
                machine._wait("booted", "boot", BOOT)
            except BaseException as error:
                machine.close()
                if number == BOOTS or not isinstance(error, ExpectationFailed):
                    raise
                say(f"{error}: booting it once more")
            else:
                break
        return machine

    @classmethod
    def _start(
        cls,
        client: docker.DockerClient,
        image: str,
        disk: Path,
        name: str,
        what: str,
        project: Path | None,
        owner: str,
        append: str = "",
    ) -> Self:
        if project is not None:
            with entering(project / HOME):
                _hold(project, name).touch()
        directory = Path(tempfile.mkdtemp(prefix=f"openvpn-routing-lab-{name}-"))
        chosen = accelerator(client, image)
        seen = shown(project)
        (directory / "shown").write_text("".join(f"{share} {path}\n" for share, path in seen))
        lock = None
        if owner:
            lock = (directory / "owner").open("wb")
            fcntl.flock(lock, fcntl.LOCK_EX)
        mounts = [
            Mount("/share", str(directory), type="bind"),
            Mount("/var/lib/machine", str(disk), type="bind", read_only=what == "boot"),
            *(Mount(f"/host{p}", str(p), type="bind", read_only=True) for p in _outermost(path for _, path in seen)),
        ]
        try:
            container = client.containers.run(
                image,
                [what],
                name=f"openvpn-routing-lab-machine-{name}",
                detach=True,
                network_mode="none",
                cap_drop=["ALL"],
                cap_add=_CAPABILITIES,
                security_opt=["no-new-privileges"],
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
        except APIError as error:
            shutil.rmtree(directory, ignore_errors=True)
            if error.status_code == 409:
                raise InputError(f"a machine {name!r} runs already: `lab vm down` ends it") from error
            raise EnvironmentBroken(f"the machine's container does not start: {error.explanation}") from error
        except DockerException as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise EnvironmentBroken(f"the machine's container does not start: {error}") from error
        return cls(name, str(container.id), directory, project, lock)

    def wait_ready(self, within: float = READY) -> None:
        """Wait until its engine answers; raises `EnvironmentBroken` with the end of its console."""
        self._wait("ready", "be ready", within)

    def power_off(self, within: float = _END) -> None:
        """Let it end in good order, with its disk written."""
        (self.directory / "off").touch()
        wait_for(
            Expectation(
                what="the machine to power off",
                node=self.name,
                look=lambda: self.running,
                met=lambda running: not running,
                seen=lambda _: self.last_words(),
            ),
            within=within,
        )

    def close(self) -> None:
        """End it at once, and remove what it had."""
        client = docker_engine.connect()
        try:
            client.containers.get(self.container).remove(force=True, v=False)
        except NotFound:
            pass
        except DockerException as error:
            raise EnvironmentBroken(f"the machine {self.name} cannot be removed: {error}") from error
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.project is not None:
            _hold(self.project, self.name).unlink(missing_ok=True)
            left(self.project / HOME)
        if self.lock is not None:
            self.lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- work ------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        try:
            return bool(docker_engine.connect().containers.get(self.container).status == "running")
        except NotFound:
            return False
        except DockerException as error:
            raise EnvironmentBroken(f"the Docker engine does not tell of the machine {self.name}: {error}") from error

    def begin(self, script: str, *, apart: bool = False) -> None:
        """Have a shell script run as root, in the machine's own root directory; one at a time.

        What it prints is in `output.log`, and with `apart` its errors are in `errors.log`.
        """
        for name in ("exit", "output.log", "errors.log"):
            (self.directory / name).unlink(missing_ok=True)
        new = self.directory / "job.new"
        new.write_text(f"exec 2> /run/share/errors.log\n{script}" if apart else script)
        new.rename(self.directory / "job")

    def ended(self) -> int | None:
        """The exit code of the job; None while it runs."""
        try:
            return int((self.directory / "exit").read_text())
        except OSError:
            return None

    def run(self, script: str, within: float) -> int:
        """Run a script and wait for its end."""
        self.begin(script)
        self._wait("exit", "finish its job", within)
        code = self.ended()
        assert code is not None
        return code

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return any((self.directory / name).exists() for name in ("job", "running"))

    def keep(self, into: Path) -> None:
        """Copy what tells of a machine that has ended badly: its console, its engine's log, its job's output."""
        into.mkdir(parents=True, exist_ok=True)
        for name in ("console.log", "dockerd.log", "output.log", "errors.log"):
            if (self.directory / name).exists():
                shutil.copy(self.directory / name, into / name)

    def console(self, lines: int = _TAIL) -> str:
        """The last lines of its console; where its kernel panicked those that say why, not the state that follows."""
        try:
            text = (self.directory / "console.log").read_bytes().decode(errors="replace")
        except OSError:
            return ""
        said = [line.rstrip() for line in text.splitlines() if line.strip()]
        panic = next((number for number, line in enumerate(said) if "Kernel panic" in line), None)
        return "\n".join(said[-lines:] if panic is None else said[max(0, panic - 1) :][:lines])

    def last_words(self) -> str:
        """The end of the console, or else what QEMU said, as the end of a sentence."""
        if said := self.console():
            return "the console's last lines: " + said.replace("\n", " | ")
        try:
            output = docker_engine.connect().containers.get(self.container).logs(tail=_TAIL)
        except DockerException:
            output = b""
        said = output.decode(errors="replace").strip().replace("\n", " | ")
        return f"its console is empty, and QEMU said: {said}" if said else "its console is empty"

    def _wait(self, file: str, what: str, within: float) -> None:
        """Wait for a file that the machine makes, as long as it runs."""

        def look() -> tuple[bool, bool]:
            there = (self.directory / file).exists()
            return there, there or self.running

        def changed(seconds: float) -> None:
            until = time.monotonic() + min(seconds, ASKED)
            while not (self.directory / file).exists() and time.monotonic() < until:
                time.sleep(POLL)

        there, _ = wait_for(
            Expectation(
                what=f"the machine to {what}",
                node=self.name,
                look=look,
                met=lambda seen: seen[0] or not seen[1],
                seen=lambda _: self.last_words(),
                changed=changed,
            ),
            within=within,
            grace=0,
        )
        if not there:
            raise EnvironmentBroken(f"the machine ended before it could {what}; {self.last_words()}")


def _hold(project: Path, name: str) -> Path:
    """A file that keeps the project's directory of labs, over which the machine lays its own, from being removed."""
    return project / HOME / f".machine-{name}"


# --- machines there are ------------------------------------------------------------------------------------------


def sweep_machines() -> list[str]:
    """End the machines whose process is gone, however it ended; returns their names."""
    swept = []
    for container in _containers(docker_engine.connect()):
        owner = container.labels.get(_LABEL_OWNER, "")
        if owner and not is_alive(owner):
            _machine(container).close()
            swept.append(container.labels[LABEL])
    return swept


def machines() -> list[Machine]:
    """All machines that there are, whoever booted them."""
    return [_machine(container) for container in _containers(docker_engine.connect())]


def kept(project: Path) -> Machine | None:
    """The machine that somebody has booted to work with, if it sees this project."""
    found = (m for m in machines() if m.name == KEPT and m.project == project and m.running)
    return next(found, None)


def has_room(count: int) -> bool:
    """Whether so many machines have their memory here."""
    return _available() >= count * _MEMORY


def _check_memory() -> None:
    """Raise `EnvironmentBroken` where the machine's memory is not to be had."""
    if not has_room(1):
        raise EnvironmentBroken(f"the machine takes {_MEMORY} MiB, and {_available()} are free: stop what else runs")


def _available() -> int:
    """MiB of memory that programs can still have."""
    return (available_memory(Path("/proc/meminfo").read_text()) or 0) >> 20


def _containers(client: docker.DockerClient, name: str = "") -> list[Container]:
    label = f"{LABEL}={name}" if name else LABEL
    try:
        found = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
    except DockerException as error:
        raise EnvironmentBroken(f"the Docker engine does not list its containers: {error}") from error
    return list(found)


def _machine(container: Container) -> Machine:
    labels = container.labels
    project = labels.get(_LABEL_PROJECT, "")
    return Machine(labels[LABEL], str(container.id), Path(labels[_LABEL_DIRECTORY]), Path(project) if project else None)


# --- what it is made of ------------------------------------------------------------------------------------------


def shown(project: Path | None) -> list[tuple[str, str]]:
    """What a machine sees of the host: a share, and a directory or file of it; what lies in another comes after it.

    The share `programs` has this interpreter and what it uses, and what is read of it is kept while the machine runs;
    the share `project` is looked at again, since somebody works there.
    """
    # Without its cache scapy reads its tables of protocols anew, which takes an emulated processor eight seconds.
    programs = _outermost([*_SYSTEM, *_FILES, sys.base_prefix, sys.prefix, caches() / "scapy"])
    projects = _outermost([Path(__file__).parents[2], *([project] if project is not None else [])])
    return sorted(
        [*(("programs", str(path)) for path in programs), *(("project", str(path)) for path in projects)],
        key=lambda one: len(Path(one[1]).parts),
    )


def _outermost(paths: Iterable[str | Path]) -> list[Path]:
    """Those that exist and lie in no other."""
    chosen: list[Path] = []
    for path in sorted({Path(path) for path in paths}, key=lambda path: len(path.parts)):
        if path.exists() and not any(path.is_relative_to(other) for other in chosen):
            chosen.append(path)
    return chosen


def accelerator(client: docker.DockerClient, image: str) -> str:
    """`kvm` where it runs the machine's kernel, else `tcg`: the device may be there and not work."""
    if "accelerator" not in _found:
        _found["accelerator"] = "kvm" if Path("/dev/kvm").exists() and _kvm_works(client, image) else "tcg"
    return _found["accelerator"]


_found: dict[str, str] = {}


def _kvm_works(client: docker.DockerClient, image: str) -> bool:
    try:
        client.containers.run(
            image, ["try-kvm"], remove=True, network_mode="none", devices=["/dev/kvm"], cap_drop=["ALL"]
        )
    except DockerException:
        return False
    return True


def _processors() -> int:
    return min(4, len(os.sched_getaffinity(0)))


# --- the disk ----------------------------------------------------------------------------------------------------


def caches() -> Path:
    """Where programs keep what they can make again (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def disks() -> Path:
    """Where the disks are kept that have the nodes' images on them."""
    return caches() / "openvpn-routing-lab" / "machine"


def forget_disks() -> None:
    """Remove all disks; the next machine makes its own."""
    shutil.rmtree(disks(), ignore_errors=True)


def _prepared(client: docker.DockerClient, image: str, versions: Sequence[str], say: Say) -> Path:
    """A directory with a disk on which the nodes' images are; made once for each set of them."""
    nodes = [ensure(client, version, say) for version in versions]
    try:
        # What it lies over is the image's own disk: the same recipe, built again, makes another one.
        base = str(client.images.get(image).id).rpartition(":")[2][:12]
    except DockerException as error:
        raise EnvironmentBroken(f"the Docker engine does not tell of {image}: {error}") from error
    disks().mkdir(parents=True, exist_ok=True)
    with _one_at_a_time():
        wanted = [node.rpartition("-")[2] for node in nodes]
        there = [directory for directory in disks().iterdir() if directory.is_dir()]
        for directory in there:
            holds = directory.name.split("-")
            if holds[0] == base and set(wanted) <= set(holds) and (directory / "disk.qcow2").exists():
                return directory
        for old in there:  # what it lay over is gone, or the new one has all that it has
            if not old.name.startswith(f"{base}-") or set(old.name.split("-")) <= {base, *wanted}:
                shutil.rmtree(old)
        directory = disks() / "-".join([base, *wanted])
        directory.mkdir()
        say(f"preparing the machine's disk with the nodes' images (OpenVPN {', '.join(versions)}), some minutes")
        _prepare(client, image, directory, nodes, say)
    return directory


def _prepare(client: docker.DockerClient, image: str, directory: Path, nodes: Sequence[str], say: Say) -> None:
    name = f"disk-{os.getpid()}"
    with Machine._booted(say, client, image, directory, name, "prepare", None, this_process()) as machine:
        for number, node in enumerate(nodes):
            with (machine.directory / f"{number}.tar").open("wb") as file:
                try:
                    for chunk in client.images.get(node).save(named=node):
                        file.write(chunk)
                except (DockerException, requests.RequestException) as error:
                    raise EnvironmentBroken(f"the Docker engine does not hand out {node}: {error}") from error
        machine.wait_ready()
        code = machine.run("set -e; for tar in /run/share/*.tar; do docker load --quiet --input $tar; done", PREPARE)
        if code:
            said = (machine.directory / "output.log").read_text(errors="replace").strip().splitlines()
            raise EnvironmentBroken(f"the machine takes no image: {said[-1] if said else 'no reason given'}")
        (machine.directory / "prepared").touch()
        machine.power_off()
    if not (directory / "disk.qcow2").exists():
        raise EnvironmentBroken(f"the machine's disk was not kept in {directory}")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold a lock; the kernel lets go of it however this process ends."""
    with (disks() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
