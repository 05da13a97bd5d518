"""BIRD's control socket, the one that birdc speaks to.

Each line of an answer begins with a four-digit code and a minus sign, or with a space where it has the code of the
line before; the last one has a space behind its code. Codes from 8000 on are errors (BIRD's `doc/reply_codes`).
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from lab.core.errors import EnvironmentBroken

SOCKET = "run/bird/bird.ctl"
_PATIENCE = 30.0
"""Seconds for one answer."""
_CHUNK = 1 << 16
_FIRST_ERROR = 8000


class Line(NamedTuple):
    """One line of an answer."""

    code: int
    text: str


class Control:
    """A connection to the BIRD of a node; use it as a context manager."""

    def __init__(self, root: Path, *, patience: float = _PATIENCE) -> None:
        """Connect below the node's file system `root`; raises `EnvironmentBroken`.

        `patience` are the seconds that an answer may take.
        """
        self._pending = b""
        self._patience = patience
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(patience)
        try:
            self._socket.connect(os.fspath(root / SOCKET))
            self._answer("its greeting")
        except OSError as error:
            self._socket.close()
            raise EnvironmentBroken(f"bird does not answer ({error.strerror or error})") from error
        except EnvironmentBroken:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, command: str) -> list[Line]:
        """Run one command and return its answer; raises `EnvironmentBroken` where it is refused."""
        try:
            self._socket.sendall(command.encode() + b"\n")
        except OSError as error:
            raise EnvironmentBroken(f"bird ended before it was asked `{command}`: {error}") from error
        lines = self._answer(f"`{command}`")
        for line in lines:
            if line.code >= _FIRST_ERROR:
                raise EnvironmentBroken(f"bird refused `{command}`: {line.text}")
        return lines

    def _answer(self, to: str) -> list[Line]:
        lines: list[Line] = []
        code = 0
        for text in self._lines(to):
            if text.startswith("+"):
                continue  # a log message, which comes when it likes
            if text.startswith(" "):
                lines.append(Line(code, text[1:]))
                continue
            code = int(text[:4])
            lines.append(Line(code, text[5:]))
            if text[4:5] != "-":
                return lines
        raise EnvironmentBroken(f"bird ended while it was asked for {to}")

    def _lines(self, to: str) -> Iterator[str]:
        while True:
            line, newline, rest = self._pending.partition(b"\n")
            if newline:
                self._pending = rest
                yield line.decode(errors="replace")
                continue
            try:
                received = self._socket.recv(_CHUNK)
            except TimeoutError as error:
                raise EnvironmentBroken(f"bird did not answer {to} in {self._patience:.0f} s") from error
            except OSError as error:
                raise EnvironmentBroken(f"bird ended while it was asked for {to}: {error}") from error
            if not received:
                return
            self._pending += received
