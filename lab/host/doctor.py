"""What this machine has and lacks for the lab, with a remedy for each lack.

Nothing here changes the machine: kernel features are tried in a network namespace of a child process, which
goes away with it.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import requests
from docker.errors import DockerException

from lab.core.errors import EnvironmentBroken
from lab.host import docker_engine

Status = Literal["ok", "missing", "unknown"]

GIB = 2**30

NEEDED_FEATURES = ("veth", "bridge", "tun", "ipv6")
"""Kernel features without which no lab stands. The others are each needed by some tests, which say so."""

MEMORY = 1 * GIB
"""Bytes of memory that the lab and its tests want to find available."""

DISK = 2 * GIB
"""Bytes of disk that the images want to find free."""

PROBE_PATIENCE = 120
"""Seconds that the kernel has to try all its features, modules that it loads included, on an emulated processor too."""

_KVM = Path("/dev/kvm")
_KVM_CREATE_VM, _KVM_CREATE_VCPU = 0xAE01, 0xAE41
"""Requests of linux/kvm.h."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for."""

    name: str
    status: Status
    detail: str
    """What was found, or why it was not."""
    remedy: str = ""
    """What to do about it; empty when nothing is to be done."""
    required: bool = True
    """Whether a lab needs it at all; else only some tests do, and are skipped without it."""


def examine() -> list[Finding]:
    """Look at everything. Never raises for what the machine lacks: a lack is a finding."""
    return [
        _python(),
        _root(),
        *docker_findings(),
        _tun_device(),
        *kernel_findings(probe_kernel()),
        kvm_finding(),
        *_resources(),
    ]


def python_finding(version: tuple[int, int, int]) -> Finding:
    """Judge a Python version."""
    text = ".".join(map(str, version))
    if version >= (3, 11):
        return Finding("Python", "ok", text)
    return Finding("Python", "missing", text, "install Python 3.11 or newer")


def root_finding(uid: int, sudo: bool) -> Finding:
    """Judge this process's right to work in its nodes' network namespaces."""
    if uid == 0:
        return Finding("root", "ok", "this is root")
    remedy = "run it with sudo, as the Makefile does" if sudo else "run it as root: there is no sudo here"
    return Finding("root", "missing", f"uid {uid} cannot enter the nodes' network namespaces", remedy)


def kernel_findings(probe: Mapping[str, str | None] | str) -> list[Finding]:
    """Judge what `lab.host.kernel` printed, or the reason why it could not run."""
    if isinstance(probe, str):
        return [Finding("kernel features", "unknown", probe, "run it as root to have them tried", required=False)]
    return [_kernel_finding(name, reason) for name, reason in probe.items()]


def kvm_finding(device: Path = _KVM) -> Finding:
    """Judge whether the kernel gives a virtual machine a processor: the device may be there, and refuse.

    One that it gives may still fail, as where KVM emulates instructions of its own host and does not know all; only a
    kernel that boots shows that.
    """
    slow = "nothing has to be done: `make test-kernel` emulates a processor instead, which takes longer"
    fds: list[int] = []
    try:
        fds.append(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        fds.append(fcntl.ioctl(fds[-1], _KVM_CREATE_VM, 0))
        fds.append(fcntl.ioctl(fds[-1], _KVM_CREATE_VCPU, 0))
    except OSError as error:
        where = "" if fds else f"{device}: "
        return Finding("KVM", "missing", f"{where}{error.strerror}", slow, required=False)
    finally:
        for fd in reversed(fds):
            os.close(fd)
    what = "it gives a processor; whether that runs a kernel shows when one boots: `lab vm up` says kvm or tcg"
    return Finding("KVM", "unknown", what, required=False)


def amount_finding(name: str, available: int | None, wanted: int, remedy: str) -> Finding:
    """Judge an amount of bytes against what the lab wants; None says that it could not be measured."""
    if available is None:
        return Finding(name, "unknown", "could not be measured", required=False)
    detail = f"{available / GIB:.1f} GiB available, {wanted / GIB:.0f} GiB wanted"
    if available >= wanted:
        return Finding(name, "ok", detail)
    return Finding(name, "missing", detail, remedy)


def docker_findings() -> list[Finding]:
    """Judge the engine, and the disk that it keeps its images on."""
    try:
        client = docker_engine.connect()
        with_version = client.version()["Version"]
        root = str(client.info()["DockerRootDir"])
        client.close()
    except EnvironmentBroken as error:
        what, _, remedy = str(error).partition(": ")
        return [Finding("Docker engine", "missing", what, remedy)]
    except (DockerException, requests.RequestException) as error:
        return [Finding("Docker engine", "missing", str(error), "see the engine's own log")]
    free = _measure(lambda: shutil.disk_usage(root).free)
    return [
        Finding("Docker engine", "ok", f"{with_version} at {docker_engine.endpoint()}"),
        amount_finding(f"disk at {root}", free, DISK, "free some, for example with `docker system prune`"),
    ]


def available_memory(meminfo: str) -> int | None:
    """Bytes of memory available, of the text of `/proc/meminfo`."""
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def probe_kernel() -> dict[str, str | None] | str:
    """Try the kernel's features in a child's own network namespace; a text when that is impossible."""
    try:
        done = subprocess.run(
            ["unshare", "--net", sys.executable, "-m", "lab.host.kernel"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not tried: {error}"
    if done.returncode:
        return f"not tried: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    result: dict[str, str | None] = json.loads(done.stdout)
    return result


def _kernel_finding(name: str, reason: str | None) -> Finding:
    required = name in NEEDED_FEATURES
    if reason is None:
        return Finding(f"kernel: {name}", "ok", "tried", required=required)
    remedy = (
        "use a kernel that has it, as Debian's own"
        if required
        else "the tests that need it run in the lab's own machine (`make test-kernel`), and are skipped by `make test`"
    )
    return Finding(f"kernel: {name}", "missing", reason, remedy, required)


def _python() -> Finding:
    return python_finding(sys.version_info[:3])


def _root() -> Finding:
    return root_finding(os.geteuid(), shutil.which("sudo") is not None)


def _tun_device() -> Finding:
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except PermissionError as error:
        return Finding("/dev/net/tun", "unknown", str(error.strerror), "run it as root")
    except OSError as error:
        remedy = "load the kernel module `tun`; in a container, pass it the device"
        return Finding("/dev/net/tun", "missing", str(error.strerror), remedy)
    return Finding("/dev/net/tun", "ok", "can be opened")


def _resources() -> list[Finding]:
    cores = len(os.sched_getaffinity(0))
    memory = _measure(lambda: available_memory(Path("/proc/meminfo").read_text()))
    return [
        amount_finding("memory", memory, MEMORY, "a node takes about 40 MB: stop what else runs"),
        Finding("cores", "ok", f"{cores} usable"),
    ]


def _measure(act: Callable[[], int | None]) -> int | None:
    try:
        return act()
    except OSError:
        return None
