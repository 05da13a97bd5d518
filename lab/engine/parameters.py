"""Make the kernel parameters of nodes' network namespaces writable inside them.

An engine mounts /proc/sys read-only in a node without all privileges, because most of it is the host's. What is below
/proc/sys/net belongs to the container's own network namespace.

A process can enter another mount namespace only while it has one thread, so a process of its own does it:
`python -m lab.engine.parameters PID...`.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence

from lab.core.errors import EnvironmentBroken

_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REMOUNT = 0x1000, 0x20
_DIRECTORY = b"/proc/sys/net"


def unlock(pids: Sequence[int]) -> None:
    """Make /proc/sys/net writable for the containers of these processes; raises `EnvironmentBroken`."""
    if not pids:
        return
    command = [sys.executable, "-m", __name__, *map(str, pids)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        why = (done.stderr.strip() or "no output").splitlines()[-1]
        raise EnvironmentBroken(f"the nodes' kernel parameters below /proc/sys/net cannot be made writable: {why}")


def _unlock_each(pids: Sequence[int]) -> None:
    # Opened at once: in another mount namespace /proc shows other processes.
    namespaces = [os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC) for pid in pids]
    libc = ctypes.CDLL(None, use_errno=True)
    for namespace in namespaces:
        _check(libc.setns(namespace, _CLONE_NEWNS))
        _check(libc.mount(_DIRECTORY, _DIRECTORY, None, _MS_BIND, None))
        _check(libc.mount(None, _DIRECTORY, None, _MS_BIND | _MS_REMOUNT, None))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    _unlock_each([int(argument) for argument in sys.argv[1:]])
