"""FRR's own command socket, the one that vtysh speaks to.

A command ends with a zero byte; its answer ends with three of them and a status byte. Asking the socket directly
takes a hundredth of the time that `docker exec … vtysh` takes, and does not disturb the node.
"""

import json
import os
import socket
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.core.errors import EnvironmentBroken
from lab.core.event_times import EventTimes

_DEADLINE = 30.0
"""Seconds for one answer; a table of a million prefixes takes some of them."""
_CHUNK = 1 << 20


class Vty:
    """A connection to one daemon of a node; use it as a context manager."""

    def __init__(self, root: Path, daemon: str) -> None:
        """Connect to `daemon` below the node's file system `root`; raises `EnvironmentBroken`."""
        self._daemon = daemon
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_DEADLINE)
        try:
            # /proc/PID/root must be walked by the kernel; the path stays short for unix(7).
            self._socket.connect(os.fspath(root / "run/frr" / f"{daemon}.vty"))
            self.ask("enable")
        except OSError as error:
            self._socket.close()
            raise EnvironmentBroken(f"{daemon} does not answer ({error.strerror or error})") from error
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
        """Run one command and return what it prints; raises `EnvironmentBroken` where it is refused."""
        status, text = self._talk(command)
        # 0 is success and 1 a warning, which `show` commands also return for an empty table.
        if status not in (0, 1):
            raise EnvironmentBroken(f"{self._daemon} refused `{command}`: {text.strip() or f'status {status}'}")
        return text

    def ask_json(self, command: str) -> dict[str, Any]:
        """Run a `show … json` command."""
        answer = self.ask(command).strip()
        parsed: dict[str, Any] = json.loads(answer) if answer else {}
        return parsed

    def configure(
        self, lines: Iterable[str], *, inside: Iterable[str] = (), event_times: EventTimes | None = None
    ) -> None:
        """Enter configuration lines, one level of nesting as FRR's own files have it.

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

    def _talk(self, command: str) -> tuple[int, str]:
        try:
            self._socket.sendall(command.encode() + b"\0")
            answer = bytearray()
            while not (len(answer) >= 4 and answer[-4:-1] == b"\0\0\0"):
                received = self._socket.recv(_CHUNK)
                if not received:
                    raise EnvironmentBroken(f"{self._daemon} ended while it was asked `{command}`")
                answer += received
        except TimeoutError as error:
            raise EnvironmentBroken(f"{self._daemon} did not answer `{command}` in {_DEADLINE:.0f} s") from error
        except OSError as error:
            raise EnvironmentBroken(f"{self._daemon} ended while it was asked `{command}`: {error}") from error
        return answer[-1], answer[:-4].decode(errors="replace")
