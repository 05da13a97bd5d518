"""The checks of `lab doctor`: what the lab needs of this host, with a remedy for each missing part.

The checks do not change the host: kernel features are tried in a network namespace that ends with a child process.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lab.core.errors import EnvironmentBroken
from lab.core.places import host_uid
from lab.host import docker_engine, oci_runtime, user_namespace

Status = Literal["ok", "missing", "unknown"]

GIB = 2**30

CRUN = "engine crun"
"""The name of the finding about the engine without a daemon."""

NEEDED_FEATURES = ("veth", "bridge", "tun", "ipv6")
"""Kernel features that every lab needs. Each of the others is needed by the tests that name it."""

MEMORY = 1 * GIB
"""Bytes of available memory that the lab and its tests need."""

DISK = 2 * GIB
"""Bytes of free disk that the images need."""

PROBE_PATIENCE = 120
"""Seconds to try all kernel features, including loading modules, on an emulated processor too."""

_KVM = Path("/dev/kvm")
_KVM_CREATE_VM, _KVM_CREATE_VCPU = 0xAE01, 0xAE41
"""ioctl requests of linux/kvm.h."""


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    name: str
    status: Status
    detail: str
    """The value found, or the reason why it is missing."""
    remedy: str = ""
    """The remedy; empty if none is needed."""
    required: bool = True
    """True if every lab needs it, False if only some tests do, which are skipped without it."""


def examine() -> list[Finding]:
    """Run all checks; what the host lacks is a finding, not an exception."""
    return [
        _python(),
        _root(),
        *engine_findings(docker_findings(), crun_findings(), os.environ.get("LAB_ENGINE", "")),
        _tun_device(),
        *kernel_findings(probe_kernel()),
        kvm_finding(),
        *_resources(),
    ]


def python_finding(version: tuple[int, int, int]) -> Finding:
    """Check a Python version."""
    text = ".".join(map(str, version))
    if version >= (3, 11):
        return Finding("Python", "ok", text)
    return Finding("Python", "missing", text, "install Python 3.11 or newer")


def root_finding(uid: int, sudo: bool, *, outside: int = 0) -> Finding:
    """Check that this process may enter the nodes' network namespaces; `outside` is the user's id on the host."""
    if uid == 0:
        return Finding("root", "ok", f"uid {outside}, in a user namespace" if outside else "running as root")
    remedy = "run it with sudo, as the Makefile does" if sudo else "run it as root: this host has no sudo"
    return Finding("root", "missing", f"uid {uid} cannot enter the nodes' network namespaces", remedy)


def kernel_findings(probe: Mapping[str, str | None] | str) -> list[Finding]:
    """Turn the output of `lab.host.kernel`, or the reason why it could not run, into findings."""
    if isinstance(probe, str):
        return [Finding("kernel features", "unknown", probe, "run `lab doctor` as root to try them", required=False)]
    return [_kernel_finding(name, reason) for name, reason in probe.items()]


def kvm_finding(device: Path = _KVM) -> Finding:
    """Check that KVM creates a virtual CPU: the device can exist and still refuse.

    A guest kernel can fail even then, e.g. under nested virtualization; only a boot shows it.
    """
    slow = "none needed: `make test-kernel` emulates the processor instead, which takes longer"
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
    what = "creates a virtual CPU; only a boot shows if a kernel runs on it: `lab vm up` says kvm or tcg"
    return Finding("KVM", "unknown", what, required=False)


def amount_finding(name: str, available: int | None, needed: int, remedy: str) -> Finding:
    """Compare an amount of bytes with what the lab needs; None if it could not be measured."""
    if available is None:
        return Finding(name, "unknown", "could not be measured", required=False)
    detail = f"{available / GIB:.1f} GiB available, {needed / GIB:.0f} GiB needed"
    if available >= needed:
        return Finding(name, "ok", detail)
    return Finding(name, "missing", detail, remedy)


def docker_findings() -> list[Finding]:
    """Check the engine, and the free space on the disk of its images."""
    try:
        client = docker_engine.connect()
        with docker_engine.translated(f"the engine at {docker_engine.endpoint()}"):
            version = docker_engine.product(client.version())
            root = str(client.info()["DockerRootDir"])
        client.close()
    except EnvironmentBroken as error:
        what, _, remedy = str(error).rpartition(": ")
        return [Finding("Docker engine", "missing", what, remedy)]
    free = _measure(lambda: shutil.disk_usage(root).free)
    return [
        Finding("Docker engine", "ok", f"{version} at {docker_engine.endpoint()}"),
        amount_finding(f"disk at {root}", free, DISK, "free some, for example with `docker system prune`"),
    ]


def crun_findings() -> list[Finding]:
    """Check the engine without a daemon: its runtime, buildah, and what an ordinary user's labs need."""
    try:
        runtime = Finding(CRUN, "ok", oci_runtime.runtime_version())
    except EnvironmentBroken as error:
        what, _, remedy = str(error).rpartition(": ")
        runtime = Finding(CRUN, "missing", what, remedy)
    found = [runtime]
    if shutil.which("buildah") is None:
        what = "not installed; the engine crun takes images from Docker only"
        found.append(Finding("buildah", "missing", what, "run `apt-get install buildah` as root", required=False))
    else:
        found.append(Finding("buildah", "ok", "builds the images of the engine crun", required=False))
    if os.geteuid() != 0:
        found += [Finding("labs without root", "missing", o.what, o.command) for o in user_namespace.obstacles()]
    return found


def engine_findings(docker: list[Finding], crun: list[Finding], chosen: str) -> list[Finding]:
    """Return the findings about both engines: a lab needs the chosen one, or, if none is chosen, either of them."""
    runs = {"docker": docker[0].status == "ok", "crun": all(f.status == "ok" for f in crun if f.required)}
    needed = {chosen} if chosen else ({name for name, can in runs.items() if can} or set(runs))
    return [
        replace(finding, required=finding.required and name in needed)
        for name, findings in (("docker", docker), ("crun", crun))
        for finding in findings
    ]


def available_memory(meminfo: str) -> int | None:
    """Return the bytes of available memory in the text of `/proc/meminfo`."""
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def probe_kernel() -> dict[str, str | None] | str:
    """Try the kernel's features in a child's network namespace; return a reason as text if that is impossible."""
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
        "use a kernel that has it, e.g. Debian's"
        if required
        else "tests that need it run in the lab's virtual machine (`make test-kernel`), and are skipped by `make test`"
    )
    return Finding(f"kernel: {name}", "missing", reason, remedy, required)


def _python() -> Finding:
    return python_finding(sys.version_info[:3])


def _root() -> Finding:
    return root_finding(os.geteuid(), shutil.which("sudo") is not None, outside=host_uid())


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
        amount_finding("memory", memory, MEMORY, "stop other programs: a node takes about 40 MB"),
        Finding("cores", "ok", f"{cores} usable"),
    ]


def _measure(read: Callable[[], int | None]) -> int | None:
    try:
        return read()
    except OSError:
        return None
