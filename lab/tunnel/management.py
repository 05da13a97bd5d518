"""OpenVPN's management interface over its Unix or TCP socket (management-notes.txt of OpenVPN's documentation).

The interface serves one client at a time, so a connection is closed after each query; other clients wait in the
socket's queue.
"""

import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.core.errors import LabError
from lab.core.unix_socket import ProgramSocket, UnixSocket
from lab.engine.namespace import Namespace

_DEADLINE = 10.0
"""Seconds to wait for an answer; a running process answers within milliseconds."""


class ManagementError(LabError):
    """The management interface does not answer or refuses a command."""


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
    """The peer's outer address; empty if there is none."""
    remote_port: str = ""

    @property
    def connected(self) -> bool:
        """True if a client has its tunnel, or a server is ready for clients."""
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


def host_of(real_address: str) -> str:
    """Return the address in a real address: `10.0.0.2:1194`, `[2001:db8::2]:1194`, `udp4:10.0.0.2:1194`."""
    plain = re.sub(r"^(udp|tcp)[\w-]*:", "", real_address)
    if plain.startswith("["):
        return plain[1:].partition("]")[0]
    return plain.partition(":")[0] if plain.count(":") == 1 else plain


@dataclass(frozen=True)
class InnerRoute:
    """A row of ROUTING_TABLE: an entry of the inner table."""

    address: str
    """An address or a network; OpenVPN prints a default route as `/0`, without the address."""
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
    """The bytes that a process has received and sent since it started, with the overhead of encryption."""

    received: int
    sent: int


@dataclass(frozen=True)
class TcpAddress:
    """An address in a node on which a management interface listens."""

    namespace: Namespace
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def dial(self) -> socket.socket:
        """Connect from inside the node; raises `OSError`."""
        return self.namespace.run(lambda: socket.create_connection((self.host, self.port), timeout=_DEADLINE))


class Management:
    """A connection to the management interface of one process: a context manager, to be held briefly."""

    def __init__(self, at: Path | TcpAddress, password: str | None = None) -> None:
        """Connect to the process at an address; raises `ManagementError` if none listens or it refuses `password`."""
        self._path = at
        self._socket = (
            UnixSocket(at, "OpenVPN", patience=_DEADLINE, error=ManagementError)
            if isinstance(at, Path)
            else ProgramSocket(str(at), at.dial, "OpenVPN", patience=_DEADLINE, error=ManagementError)
        )
        try:
            self._read_greeting(password)
        except ManagementError:
            self._socket.close()
            raise

    def _read_greeting(self, password: str | None) -> None:
        """Give the password if the process has one, and read `>INFO:`, after which it accepts commands."""
        deadline = time.monotonic() + _DEADLINE
        if password is not None:
            self._socket.read_until(b"ENTER PASSWORD:", deadline)
            self._send(password)
            self._socket.forget_command()
        while not (line := self._read_line(deadline)).startswith(">INFO:"):
            if line.startswith("ERROR:"):  # the greeting does not follow, but the question again
                raise ManagementError(f"{self._path}: OpenVPN refused the password")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Let OpenVPN close the connection. In TCP server mode its event loop can miss a connection that follows
        # closely on one that the client closed.
        with self._socket, suppress(ManagementError):
            self._send("quit")
            self._socket.wait_closed()

    def state(self) -> State:
        """Return the current state of the process."""
        return _state(self._lines("state")[-1])

    def wait_for_state(self, name: str, deadline: float) -> State:
        """Wait until the process reports a state, on its own notification.

        `deadline` is a value of `time.monotonic()`. Returns the last state, which differs from `name` if the deadline
        has passed or the process has ended.
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
        """Return the clients and the inner table of a process in `mode server`."""
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
        """Return the bytes that the process has received and sent."""
        answer = self._command("load-stats")  # SUCCESS: nclients=1,bytesin=3212,bytesout=4322
        fields = dict(pair.split("=") for pair in answer.removeprefix("SUCCESS: ").split(","))
        return Bytes(received=int(fields["bytesin"]), sent=int(fields["bytesout"]))

    def pid(self) -> int:
        """Return the id of the process in the pid namespace of its node."""
        return int(self._command("pid").partition("pid=")[2])

    def version(self) -> str:
        """Return OpenVPN's version, e.g. `2.6.14`."""
        title = next(line for line in self._lines("version") if line.startswith("OpenVPN Version:"))
        return title.removeprefix("OpenVPN Version: OpenVPN ").split()[0]

    def kill_client(self, client_id: int) -> None:
        """Disconnect a client from a server; it connects again by itself."""
        self._command(f"client-kill {client_id}")

    def push_update(self, options: str, client_id: int | None = None) -> None:
        """Push options to a connected client, or to all, e.g. `route 10.9.0.0 255.255.255.0`; from OpenVPN 2.7 on.

        Raises `ManagementError` if this version lacks the command or no client accepts the options.
        """
        command = "push-update-broad" if client_id is None else f"push-update-cid {client_id}"
        self._command(f'{command} "{options}"')

    def signal(self, name: str) -> None:
        """Have the process act on SIGHUP, SIGTERM, SIGUSR1 or SIGUSR2."""
        self._command(f"signal {name}")

    def _command(self, line: str) -> str:
        self._send(line)
        deadline = time.monotonic() + _DEADLINE
        while True:
            answer = self._read_line(deadline)
            if answer.startswith("SUCCESS:"):
                return answer
            if answer.startswith("ERROR:"):
                raise ManagementError(f"{self._path}: OpenVPN refused `{line}`: {answer}")

    def _lines(self, line: str) -> list[str]:
        self._send(line)
        deadline = time.monotonic() + _DEADLINE
        lines: list[str] = []
        while (answer := self._read_line(deadline)) != "END":
            if answer.startswith("ERROR:"):
                raise ManagementError(f"{self._path}: OpenVPN refused `{line}`: {answer}")
            if not answer.startswith(">"):  # notifications come at any time
                lines.append(answer)
        return lines

    def _send(self, line: str) -> None:
        self._socket.send(line, b"\n")

    def _read_line(self, deadline: float) -> str:
        return self._socket.read_until(b"\n", deadline).rstrip(b"\r").decode(errors="replace")


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
