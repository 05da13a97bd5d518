"""The namespaces in which an ordinary user's labs run, and the process that keeps them.

A user may create network namespaces, interfaces and mounts only in a user namespace of the user's own
(user_namespaces(7)). A process of the lab, the holder, keeps one with a mount and a network namespace; every command
joins all three and is root there, with the user's subordinate ids (subuid(5)) for the other users of an image. The
setuid programs newuidmap(1) and newgidmap(1) are all that is run with more rights than the user's own. The holder
starts with the first command and ends with the last one that leaves no lab behind.
"""

import atexit
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from lab.core.errors import EnvironmentBroken
from lab.core.process import identity_of, is_alive

_NEWUSER, _NEWNS, _NEWNET = 0x10000000, 0x00020000, 0x40000000
_PR_SET_DUMPABLE: Final = 4
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_WAITS: Final = "echo; read go && exec sleep infinity </dev/null >/dev/null"
_HOLDER, _IN_USE, _CHANGING = "holder", "holder.in-use", "holder.changing"
"""Files of the runtime directory: the holder's process, a lock of all that are in its namespaces, one to change it."""
_TUN: Final = Path("/dev/net/tun")
_NEEDED_IDS: Final = 65_536
_RESTRICTIONS: Final = (
    ("kernel.apparmor_restrict_unprivileged_userns", "0", "1"),
    ("kernel.unprivileged_userns_clone", "1", "0"),
)
"""Kernel parameters of Ubuntu and of Debian: name, the value that allows user namespaces, the one that forbids them."""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Obstacle:
    """An obstacle to the labs of a user, and the one command that removes it."""

    what: str
    command: str
    """Empty if only root's labs are left."""

    def __str__(self) -> str:
        return f"{self.what}: " + (f"`{self.command}` allows it" if self.command else "run the lab as root")


def is_needed() -> bool:
    """Return True if this process is an ordinary user's and has joined no namespace in which it is root."""
    return os.geteuid() != 0


def enter(runtime: Path, busy: Callable[[], bool], *, network: bool = True) -> None:
    """Join the namespaces of the user's holder, which is started if it does not run; for good, with all that follows.

    `runtime` is the directory of the user's holder. When this process ends, and `busy` says that no lab runs, and no
    other process is in the namespaces, the holder ends too. Without `network` the process stays in the host's network,
    which it needs to build images. Raises `EnvironmentBroken` with what forbids it.
    """
    in_use = (runtime / _IN_USE).open("a+")
    with _changing(runtime):
        fcntl.flock(in_use, fcntl.LOCK_SH)
        holder, survivor = _running(runtime), None
        if holder is None and (survivor := _survivor(runtime) if busy() else None) is None:
            refuse_obstacles()
        if threading.active_count() > 1:
            raise EnvironmentBroken("an ordinary user's labs need a process with one thread when they are first used")
        if holder is None:
            holder = _start(runtime, survivor)
    directory = Path.cwd()
    try:
        descriptor = os.pidfd_open(holder)
        try:
            if _libc.setns(descriptor, _NEWUSER | _NEWNS | (_NEWNET if network else 0)) != 0:
                why = os.strerror(ctypes.get_errno())
                raise EnvironmentBroken(f"the namespaces of process {holder}, which keeps your labs, are closed: {why}")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise EnvironmentBroken(f"process {holder}, which keeps your labs, has ended: {error.strerror}") from error
    # The kernel shields a process that has gained capabilities: its files below /proc would be the host's root's.
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    os.chdir(directory)  # the mount namespace has a working directory of its own
    if network:
        _set_loopback_up()
    atexit.register(_leave, runtime, in_use, os.getpid(), busy)


def is_in_network_of_labs(runtime: Path) -> bool:
    """Return True if this process is in the network namespace of the user's holder, which has no way out."""
    holder = _running(runtime)
    try:
        return holder is not None and Path(f"/proc/{holder}/ns/net").samefile("/proc/self/ns/net")
    except OSError:  # it has just ended
        return False


def last_group() -> int:
    """Return the last group id of this process's user namespace, up to which all exist."""
    last = -1
    for line in Path("/proc/self/gid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first == last + 1:
            last = first + count - 1
    return last


def obstacles() -> list[Obstacle]:
    """Return what keeps this user from having labs on this host; empty if nothing does."""
    found = [*_programs(), *_subordinate_ids(), *_forbidden()]
    if not os.access(_TUN, os.R_OK | os.W_OK):
        if _TUN.exists():
            found.append(Obstacle(f"only root may open {_TUN}", f"sudo chmod 0666 {_TUN}"))
        else:
            found.append(Obstacle(f"{_TUN} is missing", "sudo modprobe tun"))
    return found


def refuse_obstacles() -> None:
    """Raise `EnvironmentBroken` with the first thing that keeps this user from having labs."""
    for obstacle in obstacles():
        raise EnvironmentBroken(f"{_user()} cannot run labs without root: {obstacle}")


def _programs() -> Iterator[Obstacle]:
    for program, package in (("newuidmap", "uidmap"), ("newgidmap", "uidmap"), ("unshare", "util-linux")):
        if shutil.which(program) is None:
            yield Obstacle(f"{program} is missing", f"sudo apt install {package}")
            return


def _subordinate_ids() -> Iterator[Obstacle]:
    for file in (Path("/etc/subuid"), Path("/etc/subgid")):
        if _range(file) is None:
            add = f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {_user()}"
            yield Obstacle(f"{_user()} has no {_NEEDED_IDS} subordinate ids in {file}", add)
            return


def _forbidden() -> Iterator[Obstacle]:
    tried = subprocess.run(["unshare", "--user", "--map-root-user", "--net", "true"], capture_output=True, check=False)
    if tried.returncode == 0:
        return
    limit = Path("/proc/sys/user/max_user_namespaces")
    if limit.exists() and limit.read_text().strip() == "0":
        yield Obstacle("user.max_user_namespaces is 0", "sudo sysctl user.max_user_namespaces=10000")
        return
    for name, allowed, forbidden in _RESTRICTIONS:
        file = Path("/proc/sys", *name.split("."))
        if file.exists() and file.read_text().strip() == forbidden:
            yield Obstacle(f"{name} is {forbidden}", f"sudo sysctl {name}={allowed}")
            return
    why = (tried.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
    yield Obstacle(f"the kernel refuses a user namespace ({why})", "")


def _range(file: Path) -> tuple[int, int] | None:
    """Return the first and the number of the user's subordinate ids; None if there are too few."""
    names = (_user(), str(os.getuid()))
    with suppress(OSError):
        for line in file.read_text().splitlines():
            name, _, rest = line.partition(":")
            first, _, count = rest.partition(":")
            if name in names and first.isdigit() and count.isdigit() and int(count) >= _NEEDED_IDS:
                return int(first), int(count)
    return None


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


@contextmanager
def _changing(runtime: Path) -> Iterator[None]:
    """Keep other processes from starting and ending the holder during the block."""
    with (runtime / _CHANGING).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _running(runtime: Path) -> int | None:
    identity, _ = _recorded(runtime)
    return int(identity.partition("-")[0]) if is_alive(identity) else None


def _recorded(runtime: Path) -> tuple[str, str]:
    """Return the identity of the last holder and its user namespace; empty if there was none."""
    try:
        identity, _, namespace = (runtime / _HOLDER).read_text().partition(" ")
    except OSError:
        return "", ""
    return identity, namespace


def _survivor(runtime: Path) -> int | None:
    """Return a process in the user namespace of a holder that was killed: labs may still run there."""
    _, namespace = _recorded(runtime)
    if namespace:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _user_namespace(int(entry.name)) == namespace:
                return int(entry.name)
    return None


def _user_namespace(pid: int) -> str:
    """Return the user namespace of a process; empty if it has ended, or is another user's."""
    try:
        return str(Path(f"/proc/{pid}/ns/user").readlink())
    except OSError:
        return ""


def _start(runtime: Path, survivor: int | None) -> int:
    """Start a holder and return its process: a sleep(1) without end, which needs next to nothing.

    It gets a user namespace of its own, or joins that of a survivor of an earlier holder.
    """
    user = ["unshare", "--user"]
    if survivor is not None:
        user = ["nsenter", "--user", "--preserve-credentials", "--target", str(survivor), "unshare"]
    process = subprocess.Popen(
        # Later mounts of the host are seen, and none of the lab's is seen there. Without a "go" it ends, so that
        # nothing is left if this process is killed: the pipe closes.
        [*user, "--mount", "--propagation", "slave", "--net", "sh", "-c", _WAITS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as gate, process.stdout as ready:
        if not ready.readline():
            raise EnvironmentBroken("the process that keeps your labs' namespaces could not be started")
        if survivor is None:
            _map_ids("newuidmap", Path("/etc/subuid"), process.pid, os.getuid())
            _map_ids("newgidmap", Path("/etc/subgid"), process.pid, os.getgid())
        (runtime / _HOLDER).write_text(f"{identity_of(process.pid)} {_user_namespace(process.pid)}")
        gate.write(b"go\n")
    process.returncode = 0  # it outlives this process, which does not wait for it
    return process.pid


def _set_loopback_up() -> None:
    """Let this process send to itself, as on the host (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("=h", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _map_ids(program: str, file: Path, process: int, own: int) -> None:
    """Make the user root in a process's user namespace, and the subordinate ids its other users."""
    first, count = _range(file) or (0, 0)
    argv = [program, str(process), "0", str(own), "1", "1", str(first), str(count)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EnvironmentBroken(f"{program} refuses the subordinate ids of {_user()}: {why}")


def _leave(runtime: Path, in_use: TextIO, entered: int, busy: Callable[[], bool]) -> None:
    """End the holder if nothing needs it."""
    if os.getpid() != entered:  # a child of the process that has entered
        return
    with suppress(OSError), _changing(runtime), in_use:
        fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails if another process is in the namespaces
        if not busy() and (pid := _running(runtime)) is not None:
            (runtime / _HOLDER).unlink()
            os.kill(pid, signal.SIGKILL)
