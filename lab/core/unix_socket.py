"""A client of a program's socket: connect, send commands, read answers up to a delimiter (unix(7), tcp(7))."""

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lab.core.errors import EnvironmentBroken, LabError
from lab.core.expect import POLL

_CHUNK: Final = 1 << 20


class ProgramSocket:
    """A connection to a program in a node. Close it, or use it as a context manager.

    All failures are raised as `error`, with the address, the program and the command.
    """

    def __init__(
        self,
        where: str,
        dial: Callable[[], socket.socket],
        program: str,
        *,
        patience: float,
        error: type[LabError] = EnvironmentBroken,
    ) -> None:
        """Connect by `dial`, which raises `OSError`, to `where`, on which `program` listens.

        `patience` is how many seconds the program may take to accept a connection and between two parts of an answer.
        """
        self._where, self._program, self._patience, self._error = where, program, patience, error
        self._command = ""
        self._received = bytearray()
        try:
            self._socket = dial()
        except OSError as failure:
            why = failure.strerror or failure
            raise error(f"no {program} process listens on {where} ({why})") from failure
        self._socket.settimeout(patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, command: str, end: bytes) -> None:
        """Send a command, which `end` terminates."""
        self._command = command
        try:
            self._socket.sendall(command.encode() + end)
        except TimeoutError as failure:
            raise self._late() from failure
        except OSError as failure:
            raise self._closed() from failure

    def forget_command(self) -> None:
        """Do not name the last command in errors: it is a password."""
        self._command = ""

    def read(self, size: int, deadline: float | None = None) -> bytes:
        """Return `size` bytes of the answer; see `read_until`."""
        while len(self._received) < size:
            self._receive(deadline)
        return self._take(size)

    def read_until(self, delimiter: bytes, deadline: float | None = None) -> bytes:
        """Return the answer up to the next delimiter, which is dropped.

        `deadline`, a value of `time.monotonic()`, replaces the patience between two parts.
        """
        searched = 0
        while (found := self._received.find(delimiter, searched)) < 0:
            searched = max(0, len(self._received) - len(delimiter) + 1)
            self._receive(deadline)
        answer = self._take(found)
        self._take(len(delimiter))
        return answer

    def wait_closed(self) -> None:
        """Discard all input until the program closes the connection, or the patience runs out."""
        try:
            while self._socket.recv(_CHUNK):
                pass
        except OSError:
            pass

    def _receive(self, deadline: float | None) -> None:
        left = self._patience if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            ready, _, _ = select.select([self._socket], [], [], left)
            received = self._socket.recv(_CHUNK) if ready else None
        except OSError as failure:
            raise self._closed() from failure
        if received is None:
            raise self._late()
        if not received:
            raise self._closed()
        self._received += received

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _late(self) -> LabError:
        what = f" `{self._command}`" if self._command else ""
        return self._error(f"{self._where}: {self._program} did not answer{what} in time")

    def _closed(self) -> LabError:
        what = f"answered `{self._command}`" if self._command else "accepted commands"
        return self._error(f"{self._where}: {self._program} closed the connection before it {what}")


class UnixSocket(ProgramSocket):
    """A connection to a Unix socket."""

    def __init__(self, path: Path, program: str, *, patience: float, error: type[LabError] = EnvironmentBroken) -> None:
        """Connect to the socket `path`, on which `program` listens; it may be below `/proc/PID/root`."""
        super().__init__(str(path), lambda: _dial(path, patience), program, patience=patience, error=error)


def _dial(path: Path, patience: float) -> socket.socket:
    """Connect, retrying while the queue of the socket is full (EAGAIN in connect(2))."""
    deadline = time.monotonic() + patience
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(patience)
        with _short_address(path) as address:
            while True:
                try:
                    connection.connect(address)
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise
                    time.sleep(POLL)
                else:
                    return connection
    except OSError:
        connection.close()
        raise


@contextmanager
def _short_address(path: Path) -> Iterator[str]:
    """Yield an address of the socket `path` within the 108 bytes of unix(7)."""
    directory = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
