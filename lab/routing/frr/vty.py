"""FRR's command socket, which vtysh uses too.

A command ends with a zero byte; its answer ends with three of them and a status byte. Using the socket directly takes a
hundredth of the time of `docker exec … vtysh`, and does not disturb the node.
"""

import json
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.core.errors import EnvironmentBroken
from lab.core.event_times import EventTimes
from lab.core.unix_socket import UnixSocket

_PATIENCE = 30.0
"""Seconds until the answer begins, and between two parts of it; a table of a million prefixes takes some of them."""
_SUCCESS, _WARNING = 0, 1
"""Statuses of an answer; `show` commands return a warning for an empty table."""


class Vty:
    """A connection to one daemon of a node; use it as a context manager."""

    def __init__(self, root: Path, daemon: str) -> None:
        """Connect to `daemon` below the node's file system `root`; raises `EnvironmentBroken`."""
        self._daemon = daemon
        self._socket = UnixSocket(root / "run/frr" / f"{daemon}.vty", daemon, patience=_PATIENCE)
        try:
            self.ask("enable")
        except EnvironmentBroken:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, command: str) -> str:
        """Run one command and return its output; raises `EnvironmentBroken` if the daemon refuses it."""
        self._socket.send(command, b"\0")
        text = self._socket.read_until(b"\0\0\0").decode(errors="replace")
        (status,) = self._socket.read(1)
        if status not in (_SUCCESS, _WARNING):
            raise EnvironmentBroken(f"{self._daemon} refused `{command}`: {text.strip() or f'status {status}'}")
        return text

    def ask_json(self, command: str) -> dict[str, Any]:
        """Run a `show … json` command and parse its output."""
        answer = self.ask(command).strip()
        parsed: dict[str, Any] = json.loads(answer) if answer else {}
        return parsed

    def configure(
        self, lines: Iterable[str], *, inside: Iterable[str] = (), event_times: EventTimes | None = None
    ) -> None:
        """Enter configuration lines, one level of nesting as in FRR's files.

        `inside` are lines that enter a level; the time that `lines` take is recorded as an event in `event_times`.
        """
        self.ask("configure terminal")
        try:
            for line in inside:
                self.ask(line)
            with event_times.timing() if event_times else nullcontext():
                for line in lines:
                    self.ask(line)
        finally:
            self.ask("end")
