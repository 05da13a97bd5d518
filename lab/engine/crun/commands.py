"""Commands inside nodes, through a process that enters their namespaces (`lab.engine.crun.enter`)."""

import array
import contextlib
import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from lab.core.errors import EnvironmentBroken
from lab.engine.base import ExecResult
from lab.engine.crun import capabilities, cgroups, system_calls
from lab.engine.crun.record import NodeDirectory

_PROGRAM = Path(__file__).with_name("enter.py")
_CREDENTIALS = struct.Struct("=iII")
_ANSWER = 4096
_CHUNK = 1 << 16
_OUTPUT_LATER = 2.0
"""Seconds to wait for the end of a command's output after its own end, as Docker does."""


@dataclass(frozen=True)
class Settings:
    """The settings of a command in a node besides its arguments, from the runtime's configuration of the node."""

    request: Mapping[str, Any]

    @classmethod
    def read(cls, node: NodeDirectory) -> "Settings":
        """Read the settings of a node; raises `FileNotFoundError` if it is gone."""
        configuration = json.loads(node.bundle.read_text())
        process, filter_ = configuration["process"], configuration["linux"].get("seccomp")
        names = [name.removeprefix("CAP_") for name in process["capabilities"]["bounding"]]
        return cls(
            {
                "groups": cgroups.entries(node.container),
                "uid": process["user"]["uid"],
                "gid": process["user"]["gid"],
                "additional": process["user"]["additionalGids"],
                "capabilities": capabilities.mask(names),
                "no_new_privileges": process["noNewPrivileges"],
                "filter": system_calls.compiled(filter_).hex() if filter_ else "",
                "environment": process["env"],
                "directory": process["cwd"],
            }
        )


class Commands:
    """Runs commands in nodes; thread-safe. The process behind it starts with the first command."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._settings: dict[tuple[str, int], Settings] = {}

    def run(self, name: str, node: NodeDirectory, pid: int, argv: Sequence[str]) -> ExecResult:
        """Run a command and wait for it, and `_OUTPUT_LATER` at most for the end of its output."""
        with contextlib.ExitStack() as stack:
            out, err = _pipe(stack), _pipe(stack)
            with out[1], err[1]:
                answer = self._send(name, node, pid, argv, (out[1].fileno(), err[1].fileno()), stack, detach=False)
            printed = _read_all(answer, out[0], err[0])
            exit_code = _answer(answer, name)["exit"]
        return ExecResult(name, tuple(argv), exit_code, *(text.decode(errors="replace") for text in printed))

    def start(self, name: str, node: NodeDirectory, pid: int, argv: Sequence[str]) -> int:
        """Start a command without waiting; return the host's id of its process."""
        with contextlib.ExitStack() as stack:
            nowhere = _nowhere(stack)
            answer = self._send(name, node, pid, argv, (nowhere, nowhere), stack, detach=True)
            found: int = _answer(answer, name)["pid"]
            return found

    def succeeds(self, name: str, node: NodeDirectory, pid: int, argv: Sequence[str], timeout: float) -> bool:
        """Run a command, which is killed after `timeout` seconds, without its output; return whether it succeeds."""
        with contextlib.ExitStack() as stack:
            nowhere = _nowhere(stack)
            answer = self._send(name, node, pid, argv, (nowhere, nowhere), stack, detach=False, timeout=timeout)
            return bool(_answer(answer, name)["exit"] == 0)

    def _send(
        self,
        name: str,
        node: NodeDirectory,
        pid: int,
        argv: Sequence[str],
        streams: tuple[int, int],
        stack: contextlib.ExitStack,
        *,
        detach: bool,
        timeout: float | None = None,
    ) -> socket.socket:
        """Send a request; return the socket of its answer."""
        try:
            process = os.pidfd_open(pid)
            stack.callback(os.close, process)
            settings = self._settings_of(node, pid)
        except OSError as error:
            raise EnvironmentBroken(f"{name}: it is gone: its first process has ended") from error
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, nothing)
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.enter_context(mine)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with theirs:
            asked = {**settings.request, "argv": list(argv), "detach": detach, "timeout": timeout}
            fds = array.array("i", [nothing, *streams, theirs.fileno(), process])
            self._deliver(json.dumps(asked).encode(), fds)
        return mine

    def _settings_of(self, node: NodeDirectory, pid: int) -> Settings:
        key = (node.container, pid)
        if key not in self._settings:
            self._settings[key] = Settings.read(node)
        return self._settings[key]

    def _deliver(self, request: bytes, fds: "array.array[int]") -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
        with self._lock:
            if self._server is None or self._server.poll() is not None:
                self._control = self._started()
            assert self._control is not None
            try:
                self._control.sendmsg([request], ancillary)
            except OSError as error:
                raise EnvironmentBroken(f"a command cannot be sent into a node: {error.strerror}") from error

    def _started(self) -> socket.socket:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (mine, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with theirs:
            argv = [sys.executable, "-I", "-S", str(_PROGRAM), str(theirs.fileno())]
            # In a session of its own: a signal from the terminal is meant for the lab.
            self._server = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
            )
        return mine


def _nowhere(stack: contextlib.ExitStack) -> int:
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    stack.callback(os.close, nowhere)
    return nowhere


def _pipe(stack: contextlib.ExitStack) -> tuple[FileIO, FileIO]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    return stack.enter_context(FileIO(reading, "rb")), stack.enter_context(FileIO(writing, "wb"))


def _read_all(answer: socket.socket, *pipes: FileIO) -> list[bytes]:
    """Read pipes until all their writers have closed them, or for a while after a command has answered.

    A process that a command leaves in the background may keep them open.
    """
    found: dict[int, list[bytes]] = {pipe.fileno(): [] for pipe in pipes}
    unfinished = set(found)
    until: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(answer, selectors.EVENT_READ)
        for fd in found:
            selector.register(fd, selectors.EVENT_READ)
        while unfinished and (until is None or time.monotonic() < until):
            left = None if until is None else until - time.monotonic()
            for key, _ in selector.select(left):
                if key.fd not in found:
                    until = time.monotonic() + _OUTPUT_LATER
                    selector.unregister(answer)
                elif data := os.read(key.fd, _CHUNK):
                    found[key.fd].append(data)
                else:
                    selector.unregister(key.fd)
                    unfinished.remove(key.fd)
    return [b"".join(found[pipe.fileno()]) for pipe in pipes]


def _answer(answer: socket.socket, name: str) -> dict[str, Any]:
    """Return the answer to a request, with the process id of its sender."""
    data, ancillary, _, _ = answer.recvmsg(_ANSWER, socket.CMSG_SPACE(_CREDENTIALS.size))
    if not data:
        raise EnvironmentBroken(f"{name}: it ended while a command was starting in it")
    found: dict[str, Any] = json.loads(data)
    if "failed" in found:
        raise EnvironmentBroken(f"{name}: a command cannot be started in it: {found['failed']}")
    for _, kind, content in ancillary:
        if kind == socket.SCM_CREDENTIALS:
            found["pid"] = _CREDENTIALS.unpack(content)[0]
    return found
