"""Work inside a node's network namespace, from a process on the host.

A new thread enters the namespace, does the work and ends: setns(2) changes the calling thread only, so the rest of the
process stays in its own namespace. A socket belongs to the namespace it was opened in, whichever thread uses it.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lab.core.errors import EnvironmentBroken

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Namespace:
    """The network namespace of a process."""

    pid: int

    @property
    def path(self) -> str:
        """Return the namespace's file, for setns(2)."""
        return f"/proc/{self.pid}/ns/net"

    @property
    def exists(self) -> bool:
        """Return whether the process exists."""
        try:
            Path(self.path).stat()
        except OSError:
            return False
        return True

    def enter(self) -> None:
        """Move the calling thread into the namespace permanently.

        Raises `EnvironmentBroken` if the process has ended or the caller lacks CAP_SYS_ADMIN.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise EnvironmentBroken(
                f"cannot reach the network namespace {self.path} ({error.strerror}): the node is gone, "
                "or this process does not run as root on the engine's host"
            ) from error
        try:
            if _libc.setns(fd, _CLONE_NEWNET) != 0:
                why = os.strerror(ctypes.get_errno())
                raise EnvironmentBroken(f"cannot enter {self.path} ({why}): run the lab as root, or with sudo")
        finally:
            os.close(fd)

    def run(self, work: Callable[[], T]) -> T:
        """Call `work` inside the namespace; return its result or raise its exception."""
        result: list[T] = []
        failure: list[BaseException] = []

        def inside() -> None:
            try:
                self.enter()
                result.append(work())
            except BaseException as error:  # raised in the caller's thread
                failure.append(error)

        thread = threading.Thread(target=inside, name=f"netns-{self.pid}")
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return result[0]
