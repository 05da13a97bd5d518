"""BIRD's control socket, which birdc uses too.

Each line of an answer begins with a four-digit code and a minus sign, or with a space if it has the code of the line
before; in the last line a space follows the code. Codes from 8000 on are errors (BIRD's `doc/reply_codes`).
"""

from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from lab.core.errors import EnvironmentBroken
from lab.core.unix_socket import UnixSocket

SOCKET = "run/bird/bird.ctl"
_PATIENCE = 30.0
"""Seconds until the answer begins, and between two parts of it."""
_FIRST_ERROR = 8000


class Line(NamedTuple):
    """One line of an answer."""

    code: int
    text: str


class Control:
    """A connection to the BIRD of a node; use it as a context manager."""

    def __init__(self, root: Path, *, patience: float = _PATIENCE) -> None:
        """Connect below the node's file system `root`; raises `EnvironmentBroken`.

        `patience` is how many seconds an answer may take.
        """
        self._socket = UnixSocket(root / SOCKET, "bird", patience=patience)
        try:
            self._answer()  # the greeting
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
        """Run one command and return its answer; raises `EnvironmentBroken` if BIRD refuses it."""
        self._socket.send(command, b"\n")
        lines = self._answer()
        for line in lines:
            if line.code >= _FIRST_ERROR:
                raise EnvironmentBroken(f"bird refused `{command}`: {line.text}")
        return lines

    def _answer(self) -> list[Line]:
        lines: list[Line] = []
        code = 0
        while True:
            text = self._socket.read_until(b"\n").decode(errors="replace")
            if text.startswith("+"):
                continue  # a log message, which may come at any time
            if text.startswith(" "):
                lines.append(Line(code, text[1:]))
                continue
            code = int(text[:4])
            lines.append(Line(code, text[5:]))
            if text[4:5] != "-":
                return lines
