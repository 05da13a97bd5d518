"""Work inside a node's network namespace, from outside its container.

A thread of its own enters the namespace, does the work and ends: setns(2) changes the calling thread only, so
the rest of the process never leaves its own namespace. A socket belongs to the namespace it was opened in, and
stays there whoever uses it later.
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
    """The network namespace of the process `pid`."""

    pid: int

    @property
    def path(self) -> str:
        """The namespace's file, for setns(2)."""
        return f"/proc/{self.pid}/ns/net"

    @property
    def exists(self) -> bool:
        """False where the process has ended."""
        try:
            Path(self.path).stat()
        except OSError:
            return False
        return True

    def enter(self) -> None:
        """Move the calling thread, for good, into the namespace.

        Raises `EnvironmentBroken` where the node is gone or the caller lacks CAP_SYS_ADMIN.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise EnvironmentBroken(
                f"cannot reach the network namespace {self.path} ({error.strerror}): the node is gone, "
                "or this is not run as root on the machine that runs the engine"
            ) from error
        try:
            if _libc.setns(fd, _CLONE_NEWNET) != 0:
                why = os.strerror(ctypes.get_errno())
                raise EnvironmentBroken(f"cannot enter {self.path} ({why}): run the lab as root, or with sudo")
        finally:
            os.close(fd)

    def run(self, work: Callable[[], T]) -> T:
        """Call `work` inside the namespace and return what it returns, or raise what it raises."""
        result: list[T] = []
        failure: list[BaseException] = []

        def inside() -> None:
            try:
                self.enter()
                result.append(work())
            except BaseException as error:  # handed to the caller's thread
                failure.append(error)

        thread = threading.Thread(target=inside, name=f"netns-{self.pid}")
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return result[0]
