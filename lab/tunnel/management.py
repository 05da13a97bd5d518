"""OpenVPN's management interface over its Unix socket (management-notes.txt of OpenVPN's documentation).

The interface serves one client at a time, so a connection is opened for a question and closed again; a second
asker waits for its turn in the socket's queue.
"""

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.core.errors import LabError
from lab.core.expect import POLL

_DEADLINE = 10.0
"""Seconds for an answer of a living process; it takes some milliseconds."""


class ManagementError(LabError):
    """The management interface does not answer, or refused a command."""


@dataclass(frozen=True)
class State:
    """An answer to `state`."""

    since: datetime
    name: str
    """CONNECTING, WAIT, AUTH, GET_CONFIG, ASSIGN_IP, ADD_ROUTES, CONNECTED, RECONNECTING, EXITING, …"""
    description: str
    local: IPv4Address | None
    """The tunnel's inner address at this end."""
    remote: str
    """The peer's outer address; empty where there is none."""
    remote_port: str = ""

    @property
    def connected(self) -> bool:
        """A client has its tunnel; a server is ready for clients."""
        return self.name == "CONNECTED"


@dataclass(frozen=True)
class ConnectedClient:
    """A row of CLIENT_LIST."""

    common_name: str
    real_address: str
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    bytes_received: int
    bytes_sent: int
    connected_since: datetime
    client_id: int
    cipher: str


@dataclass(frozen=True)
class InnerRoute:
    """A row of ROUTING_TABLE: what OpenVPN's own table maps to a client."""

    address: str
    """An address or a network; OpenVPN prints a default route's address empty: `/0`."""
    common_name: str
    real_address: str


@dataclass(frozen=True)
class ServerStatus:
    """An answer to `status 3` of a process in `mode server`."""

    title: str
    clients: tuple[ConnectedClient, ...]
    routes: tuple[InnerRoute, ...]


@dataclass(frozen=True)
class Bytes:
    """What went through a process since it started, in bytes, as its transport counts."""

    received: int
    sent: int


class Management:
    """A connection to the management interface of one process. Use it as a context manager, and briefly."""

    def __init__(self, path: Path) -> None:
        """Connect to the socket `path`; raises `ManagementError` where no process listens."""
        self._path = path
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_DEADLINE)
        deadline = time.monotonic() + _DEADLINE
        try:
            with _short(path) as address:
                self._connect(address, deadline)
        except OSError as error:
            self._socket.close()
            raise ManagementError(f"no OpenVPN answers on {path} ({error.strerror or error})") from error
        try:
            self._read_line(deadline)  # the greeting: from now on commands are read
        except ManagementError:
            self._socket.close()
            raise

    def _connect(self, address: str, deadline: float) -> None:
        """Connect, or wait for room in the queue of a process that listens; OpenVPN's is short (connect(2), EAGAIN)."""
        while True:
            try:
                self._socket.connect(address)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(POLL)
            else:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Let OpenVPN close first. In TCP server mode its event loop can forget to listen to a connection that
        # follows too closely on one that merely broke off.
        try:
            self._socket.sendall(b"quit\n")
            while self._socket.recv(65536):
                pass
        except OSError:
            pass
        self._socket.close()

    def state(self) -> State:
        """The process's state as of now."""
        return _state(self._lines("state")[-1])

    def wait_for_state(self, name: str, deadline: float) -> State:
        """Wait until the process reports a state, on its own notification.

        `deadline` is a value of `time.monotonic()`. Returns the last state seen, which is another one than `name`
        where the deadline passed first or the process ended.
        """
        self._send("state on all")
        last: State | None = None
        try:
            while last is None or last.name != name:
                line = self._read_line(deadline)
                if line.startswith(">STATE:"):
                    last = _state(line.removeprefix(">STATE:"))
                elif line[:1].isdigit():
                    last = _state(line)
        except ManagementError:
            if last is None:
                raise
        return last

    def server_status(self) -> ServerStatus:
        """Clients and inner routes of a process in `mode server`."""
        title, clients, routes = "", [], []
        for line in self._lines("status 3"):
            kind, *fields = line.split("\t")
            if kind == "TITLE":
                title = fields[0]
            elif kind == "CLIENT_LIST":
                clients.append(_client(fields))
            elif kind == "ROUTING_TABLE":
                routes.append(InnerRoute(*fields[:3]))
        return ServerStatus(title, tuple(clients), tuple(routes))

    def bytes(self) -> Bytes:
        """Bytes in and out of the process."""
        answer = self._command("load-stats")  # SUCCESS: nclients=1,bytesin=3212,bytesout=4322
        fields = dict(pair.split("=") for pair in answer.removeprefix("SUCCESS: ").split(","))
        return Bytes(received=int(fields["bytesin"]), sent=int(fields["bytesout"]))

    def pid(self) -> int:
        """The process's id, as its own node counts."""
        return int(self._command("pid").partition("pid=")[2])

    def version(self) -> str:
        """OpenVPN's version, e.g. `2.6.14`."""
        title = next(line for line in self._lines("version") if line.startswith("OpenVPN Version:"))
        return title.removeprefix("OpenVPN Version: OpenVPN ").split()[0]

    def kill_client(self, client_id: int) -> None:
        """Throw a client out of a server; it connects again by itself."""
        self._command(f"client-kill {client_id}")

    def push_update(self, options: str, client_id: int | None = None) -> None:
        """Push options to a connected client, or to all, e.g. `route 10.9.0.0 255.255.255.0`; from OpenVPN 2.7 on.

        Raises `ManagementError` where the version does not know it or no client took it.
        """
        whom = "push-update-broad" if client_id is None else f"push-update-cid {client_id}"
        self._command(f'{whom} "{options}"')

    def signal(self, name: str) -> None:
        """Send the process SIGHUP, SIGTERM, SIGUSR1 or SIGUSR2."""
        self._command(f"signal {name}")

    def _command(self, line: str) -> str:
        self._send(line)
        deadline = time.monotonic() + _DEADLINE
        while True:
            answer = self._read_line(deadline)
            if answer.startswith("SUCCESS:"):
                return answer
            if answer.startswith("ERROR:"):
                raise ManagementError(f"{self._path}: `{line}` was refused: {answer}")

    def _lines(self, line: str) -> list[str]:
        self._send(line)
        deadline = time.monotonic() + _DEADLINE
        lines: list[str] = []
        while (answer := self._read_line(deadline)) != "END":
            if answer.startswith("ERROR:"):
                raise ManagementError(f"{self._path}: `{line}` was refused: {answer}")
            if not answer.startswith(">"):  # notifications come at any time
                lines.append(answer)
        return lines

    def _send(self, line: str) -> None:
        try:
            self._socket.sendall(line.encode() + b"\n")
        except OSError as error:
            raise ManagementError(f"{self._path}: OpenVPN ended the connection") from error

    def _read_line(self, deadline: float) -> str:
        while b"\n" not in self._buffer:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._socket], [], [], left)
            if not ready:
                raise ManagementError(f"{self._path}: OpenVPN did not answer in time")
            try:
                received = self._socket.recv(65536)
            except OSError as error:
                raise ManagementError(f"{self._path}: OpenVPN ended the connection") from error
            if not received:
                raise ManagementError(f"{self._path}: OpenVPN ended the connection")
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r").decode(errors="replace")


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """An address for `path` that fits the 108 bytes which unix(7) allows."""
    directory = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _state(line: str) -> State:
    since, name, description, local, remote, remote_port, *_ = [*line.split(","), "", "", "", "", ""]
    return State(
        since=datetime.fromtimestamp(int(since), UTC),
        name=name,
        description=description,
        local=IPv4Address(local) if local else None,
        remote=remote,
        remote_port=remote_port,
    )


def _client(fields: list[str]) -> ConnectedClient:
    # Common Name, Real Address, Virtual Address, Virtual IPv6 Address, Bytes Received, Bytes Sent,
    # Connected Since, Connected Since (time_t), Username, Client ID, Peer ID, Data Channel Cipher
    ipv4, ipv6 = (ip_address(text) if text else None for text in fields[2:4])
    assert ipv4 is None or isinstance(ipv4, IPv4Address)
    assert ipv6 is None or isinstance(ipv6, IPv6Address)
    return ConnectedClient(
        common_name=fields[0],
        real_address=fields[1],
        ipv4=ipv4,
        ipv6=ipv6,
        bytes_received=int(fields[4]),
        bytes_sent=int(fields[5]),
        connected_since=datetime.fromtimestamp(int(fields[7]), UTC),
        client_id=int(fields[9]),
        cipher=fields[11],
    )
