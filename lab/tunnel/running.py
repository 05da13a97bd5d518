"""Tunnels that run: start, stop, kill, ask and reconfigure their two OpenVPN processes."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from lab.core.errors import EnvironmentBroken, NotSupported
from lab.core.expect import Expectation, wait_for
from lab.core.files import RenderedFile, write_all
from lab.engine.node import RunningNode
from lab.topology import Tunnel
from lab.tunnel.management import Management, ManagementError
from lab.tunnel.mode import End, Identity, Process, TunnelMode, modes, processes
from lab.tunnel.pki import Authority, Credentials
from lab.tunnel.reason import last_words, why_ended, why_refused

KERNEL_KIND = "ovpn"
"""How the kind of a device begins through which the kernel itself carries the data (DCO)."""
_STARTED_WITHIN = 30.0
_CONNECTED_WITHIN = 60.0
_ASKED = 0.2
"""Seconds between two questions to the engine whether a process that does not answer yet has ended."""
_ENDED = "ENDED"
"""Said of a process that is gone; OpenVPN has no such state."""
_CIPHER = re.compile(r"Data Channel: cipher '([^']+)'")


@dataclass(frozen=True)
class TunnelStatus:
    """A tunnel that is up, as both ends see it."""

    name: str
    server: str
    client: str
    real_address: str
    """The client's outer address and port, as the server sees it."""
    cipher: str | None
    """None where a server that keeps no list of clients has not logged it (below `verb` 2)."""
    connected_since: datetime
    client_id: int | None
    """Counted by the server; another one means another session. None where it keeps no list of clients."""
    server_pid: int
    client_pid: int | None
    """None where the client is an external node's."""
    bytes_to_server: int
    bytes_to_client: int


class OpenVpn:
    """One OpenVPN process of a tunnel."""

    def __init__(self, process: Process, node: RunningNode, device: str) -> None:
        self.process = process
        self.node = node
        self.device = device
        """Its tunnel's interface on the node."""
        self._start = Lock()
        self._runs: Callable[[], bool] | None = None
        """Set where this very object has started the process."""

    def __str__(self) -> str:
        return f"OpenVPN {self.process.end} of {self.process.tunnel}"

    @property
    def log(self) -> Path:
        """The process's log, on the host."""
        return log_of(self.node, self.process)

    def management(self) -> Management:
        """A connection to the running process; raises `ManagementError` where there is none."""
        return Management(self.node.root / self.process.socket.relative_to("/"))

    @property
    def running(self) -> bool:
        """True where the process answers."""
        try:
            with self.management():
                return True
        except ManagementError:
            return False

    def require(self, mode: TunnelMode) -> None:
        """Raise `NotSupported` where the kernel or OpenVPN cannot do a mode, and would do it otherwise, silently."""
        kind = mode.traits.kernel
        if kind is None:
            return
        if why := self.node.try_device(kind):
            raise NotSupported(kind, f"mode {mode.name} needs this kind of device: {why}")
        said = _version(self.node)
        if not any(said.startswith(f"OpenVPN {version}.") for version in mode.traits.openvpn):
            able, there = " or ".join(mode.traits.openvpn), said.split(" [")[0]
            raise NotSupported(kind, f"mode {mode.name} needs OpenVPN {able}, and {self.node.name} has {there}")

    def start(self) -> None:
        """Start the process, unless it runs, and wait until its management interface answers."""
        with self._start:  # tunnels that share a server start at the same time
            if not self.running:
                self._launch()

    def _launch(self) -> None:
        # In any mode the kernel may carry the data (DCO). Its device stays where the process is killed, and keeps a new
        # one from starting; any other goes with its process, or somebody wants it to stay.
        self.node.remove_device(self.device, kind=KERNEL_KIND)
        self._runs = self.node.spawn(self.process.argv)
        asked = time.monotonic()

        def look() -> str:
            nonlocal asked
            if self.running:
                return "running"
            if time.monotonic() - asked < _ASKED:
                return ""
            asked = time.monotonic()
            return _ENDED if self._ended() else ""

        state = wait_for(
            Expectation(
                what=f"{self} to start",
                node=self.node.name,
                look=look,
                met=bool,
                seen=lambda _: self.last_words(),
                logs=self.log,
            ),
            within=_STARTED_WITHIN,
        )
        if state == _ENDED:
            raise self._has_ended()

    def wait_connected(self) -> None:
        """Wait until the process reports CONNECTED: ready for clients, or connected to its server."""
        deadline = time.monotonic() + _CONNECTED_WITHIN
        state = wait_for(
            Expectation(
                what=f"{self} to be CONNECTED",
                node=self.node.name,
                look=lambda: self._state_until(deadline),
                met=lambda state: state in ("CONNECTED", _ENDED),
                seen=lambda state: f"{state}; {self.last_words()}",
                logs=self.log,
            ),
            within=_CONNECTED_WITHIN,
        )
        if state == _ENDED:
            raise self._has_ended()

    def stop(self, signal: str = "TERM") -> None:
        """Signal the process and wait until it is gone; TERM lets it say good-bye, KILL does not."""
        try:
            with self.management() as management:
                pid = management.pid()
        except ManagementError:
            return
        self.node.signal(pid, signal)
        self.expect_gone(pid, signal)

    def expect_gone(self, pid: int, signal: str) -> None:
        """Wait until a process that was told to end is gone; `pid` is what its node calls it."""
        gone = self.node.instance.root / "proc" / str(pid)
        wait_for(
            Expectation(
                what=f"{self} to end after SIG{signal}",
                node=self.node.name,
                look=gone.exists,
                met=lambda exists: not exists,
                seen=lambda _: f"process {pid} is still there",
                logs=self.log,
            ),
            within=_STARTED_WITHIN,
        )

    def log_size(self) -> int:
        """Bytes in the log so far, to read what comes later with `log_lines`."""
        return self.log.stat().st_size if self.log.exists() else 0

    def log_lines(self, containing: str = "", *, since: int = 0) -> list[str]:
        """Lines of the log from byte `since` on that contain a text."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(since)
            lines = file.read().decode(errors="replace").splitlines()
        return [line for line in lines if containing in line]

    def cipher(self) -> str | None:
        """What the log says of the data channel's cipher last; None where it says nothing."""
        found = (_CIPHER.search(line) for line in reversed(self.log_lines("Data Channel: cipher")))
        return next((match[1] for match in found if match), None)

    def last_words(self) -> str:
        """The last line of the log that says something; that we asked it is no news."""
        return last_words(self.log_lines())

    def _state_until(self, deadline: float) -> str:
        try:
            with self.management() as management:
                return management.wait_for_state("CONNECTED", deadline).name
        except ManagementError:
            if self._ended():
                return _ENDED
            raise

    def _ended(self) -> bool:
        return self._runs is not None and not self._runs()

    def _has_ended(self) -> EnvironmentBroken:
        return EnvironmentBroken(f"{self.node.name}: {self} ended: {why_ended(self.log_lines())}")


class ExternalEnd(OpenVpn):
    """The end of a tunnel in an external node: somebody else runs it, and the lab can neither start nor ask it."""

    def __str__(self) -> str:
        return f"{super().__str__()} (external)"

    @property
    def running(self) -> bool:
        """True: nobody here can say otherwise."""
        return True

    def management(self) -> Management:
        """There is none."""
        raise ManagementError(f"{self} cannot be asked")

    def require(self, mode: TunnelMode) -> None:
        """Whoever runs it knows what it can do."""

    def start(self) -> None:
        """Whoever runs it starts it."""

    def wait_connected(self) -> None:
        """Nobody knows when it will be."""

    def stop(self, signal: str = "TERM") -> None:
        """Whoever runs it stops it."""


@dataclass(frozen=True)
class _Session:
    """A client as its server sees it."""

    real_address: str
    since: datetime
    cipher: str | None
    client_id: int | None
    received: int
    sent: int


class RunningTunnel:
    """A tunnel of a running lab."""

    def __init__(
        self,
        tunnel: Tunnel,
        nodes: Mapping[str, RunningNode],
        roots: Mapping[str, Path],
        authority: Authority,
        sharing: list["RunningTunnel"],
        *,
        external: bool = False,
    ) -> None:
        """`roots` are the host's directories below which each node's files are rendered.

        `sharing` are the tunnels of the same server process, which this one joins; `external` says that the client
        is somebody else's, which the lab can neither start nor ask.
        """
        self.tunnel = tunnel
        self.sharing = sharing
        """The tunnels of the same server process, this one among them."""
        ends = processes(tunnel)
        self.server: OpenVpn = (
            sharing[0].server if sharing else OpenVpn(ends["server"], nodes[tunnel.server], tunnel.server_device)
        )
        sharing.append(self)
        self.client = (ExternalEnd if external else OpenVpn)(ends["client"], nodes[tunnel.client], tunnel.device)
        self.external = external
        """Whether the client is an external node's: the lab knows of it what the server says."""
        self._roots = roots
        self.authority = authority
        """The lab's: it issues what the two ends trust."""

    def __str__(self) -> str:
        return f"tunnel {self.name}"

    @property
    def name(self) -> str:
        """The tunnel's name."""
        return self.tunnel.name

    @property
    def mode(self) -> TunnelMode:
        """The unit that renders it."""
        return modes()[self.tunnel.mode]

    def device(self, node: str) -> str:
        """The tunnel's interface on one of its two nodes."""
        return self.tunnel.server_device if node == self.tunnel.server else self.tunnel.device

    def start(self) -> None:
        """Start the server, then the client, and wait until they are connected."""
        self._launch()
        self.wait_connected()

    def wait_connected(self) -> None:
        """Wait until both ends say so: a server without `mode server` does when it has its client."""
        self.server.wait_connected()
        self.client.wait_connected()

    def stop(self, signal: str = "TERM") -> None:
        """Stop the client, then the server, unless it serves another tunnel."""
        self.client.stop(signal)
        if not any(other.client.running for other in self.sharing if other is not self):
            self.server.stop(signal)

    def status(self) -> TunnelStatus:
        """Ask both ends; raises `EnvironmentBroken`, with OpenVPN's own reason, where the tunnel is down."""
        state = client_pid = None
        try:
            if not self.external:
                with self.client.management() as client:
                    state, client_pid = client.state(), client.pid()
            with self.server.management() as server:
                session, server_pid = self._session(server), server.pid()
        except ManagementError as error:
            dead = self.server if self.client.running else self.client
            raise EnvironmentBroken(f"{self} is down: {dead} does not run: {why_ended(dead.log_lines())}") from error
        if state is not None and not state.connected:
            raise EnvironmentBroken(f"{self} is {state.name}: {self._reason(self.client)}")
        if session is None:
            raise EnvironmentBroken(f"{self} is down: the server has no client: {self._reason(self.server)}")
        return TunnelStatus(
            name=self.name,
            server=self.tunnel.server,
            client=self.tunnel.client,
            real_address=session.real_address,
            cipher=session.cipher,
            connected_since=session.since,
            client_id=session.client_id,
            server_pid=server_pid,
            client_pid=client_pid,
            bytes_to_server=session.received,
            bytes_to_client=session.sent,
        )

    def _session(self, server: Management) -> "_Session | None":
        """What the server knows of its client; None where it has none."""
        counted = server.bytes()
        if self.mode.traits.mode_server:
            client = next((c for c in server.server_status().clients if c.common_name == self.tunnel.client), None)
            if client is None:
                return None
            alone = self.tunnel.shared is None
            return _Session(
                real_address=client.real_address,
                since=client.connected_since,
                cipher=client.cipher,
                client_id=client.client_id,
                # A process counts everything it sends, for a client only what it knows to be the client's.
                received=counted.received if alone else client.bytes_received,
                sent=counted.sent if alone else client.bytes_sent,
            )
        state = server.state()
        if not state.connected:
            return None
        address = f"{state.remote}:{state.remote_port}"
        return _Session(address, state.since, self.server.cipher(), None, counted.received, counted.sent)

    def _reason(self, otherwise: OpenVpn) -> str:
        """Who says why the tunnel is not up and what; the last words of one end where nobody does."""
        refused = why_refused(self.client.log_lines(), self.server.log_lines())
        if refused is None:
            return otherwise.last_words()
        end, words = refused
        return f"{self.tunnel.server if end == 'server' else self.tunnel.client} says {words}"

    @contextmanager
    def configured(self, **options: Any) -> Iterator[None]:
        """Run the tunnel with other options of its mode for a while, then with its own again.

        Both processes are started anew on the way in and on the way out; so are those of all tunnels that share the
        server.
        """
        self._restart(options)
        try:
            yield
        finally:
            self._restart({})

    @contextmanager
    def trusting(
        self,
        *,
        server: Credentials | None = None,
        client: Credentials | None = None,
        revoked: Sequence[Credentials] = (),
    ) -> Iterator[None]:
        """Run the tunnel for a while with other credentials at its ends, or with some revoked, then with fresh ones.

        Both processes are started anew on the way in and on the way out. On the way in nobody waits for the client
        to be connected, since it may not be let in.
        """
        usual = Identity.issue(self.tunnel, self.authority)
        identity = replace(
            usual,
            server=server or usual.server,
            client=client or usual.client,
            revoked=self.authority.revocation_list(*revoked),
        )
        with self._launched(self.mode.render(self.tunnel, identity)):
            yield

    @contextmanager
    def at_odds(self, *, server: Mapping[str, Any], client: Mapping[str, Any]) -> Iterator[None]:
        """Run the tunnel for a while with options at one end that the other does not have, then with its own again.

        Both processes are started anew on the way in and on the way out. On the way in nobody waits for the client
        to be connected, since the two may not understand each other.
        """
        ends: dict[End, Mapping[str, Any]] = {"server": server, "client": client}
        files = {
            end: rendered_tunnel(_with(self.tunnel, options), self.authority)[end] for end, options in ends.items()
        }
        with self._launched(files):
            yield

    @contextmanager
    def extended(self, *, server: Sequence[str] = (), client: Sequence[str] = ()) -> Iterator[None]:
        """Run the tunnel for a while with more lines in its configurations, then with its own alone again.

        For what no option of its mode says, as what users find in their own files. Both processes are started anew on
        the way in and on the way out. On the way in nobody waits for the client to be connected.
        """
        more: dict[End, Sequence[str]] = {"server": server, "client": client}
        ends = processes(self.tunnel)
        files = {
            end: [
                replace(file, content=file.content + "\n".join(["", *more[end], ""]))
                if file.path == ends[end].configuration
                else file
                for file in rendered
            ]
            for end, rendered in rendered_tunnel(self.tunnel, self.authority).items()
        }
        with self._launched(files):
            yield

    @contextmanager
    def _launched(self, files: Mapping[End, Sequence[RenderedFile]]) -> Iterator[None]:
        self._stop_all()
        _write(files, self.tunnel, self._roots)
        try:
            for other in self.sharing:
                other._launch()
            yield
        finally:
            self._restart({})

    def _launch(self) -> None:
        """Start both processes; a server that does not need its client for it is ready first."""
        for process in (self.server, self.client):
            process.require(self.mode)
        self.server.start()
        if self.mode.traits.mode_server:
            self.server.wait_connected()
        self.client.start()

    def _stop_all(self) -> None:
        for other in self.sharing:
            other.client.stop()
        self.server.stop()

    def _restart(self, options: Mapping[str, Any]) -> None:
        self._stop_all()
        for other in self.sharing:
            render_tunnel(_with(other.tunnel, options), self.authority, self._roots)
        for other in self.sharing:
            other.start()


def running_tunnels(
    tunnels: Iterable[Tunnel],
    nodes: Mapping[str, RunningNode],
    roots: Mapping[str, Path],
    authority: Authority,
    *,
    external: Collection[str] = (),
) -> dict[str, RunningTunnel]:
    """The tunnels of a running lab by name; those that share a server process know of each other.

    `external` are the nodes whose clients are somebody else's.
    """
    servers: dict[Process, list[RunningTunnel]] = {}

    def running(tunnel: Tunnel) -> RunningTunnel:
        sharing = servers.setdefault(processes(tunnel)["server"], [])
        return RunningTunnel(tunnel, nodes, roots, authority, sharing, external=tunnel.client in external)

    return {tunnel.name: running(tunnel) for tunnel in tunnels}


def _with(tunnel: Tunnel, options: Mapping[str, Any]) -> Tunnel:
    changed = {key.replace("_", "-"): value for key, value in options.items()}
    return tunnel.model_copy(update={"options": {**tunnel.options, **changed}})


_asking = Lock()
_versions: dict[str, str] = {}
"""By the image."""


def _version(node: RunningNode) -> str:
    """What OpenVPN says of itself, as in `OpenVPN 2.7.8 …`; of nodes with one image the first is asked."""
    with _asking:
        image = node.instance.image
        if image not in _versions:
            _versions[image] = node.exec("openvpn", "--version").stdout  # its exit code is 1 in old versions
        return _versions[image]


def log_of(node: RunningNode, process: Process) -> Path:
    """Where a process's log lies on the host."""
    return node.files / process.log.relative_to("/")


def rendered_tunnel(tunnel: Tunnel, authority: Authority) -> Mapping[End, Sequence[RenderedFile]]:
    """The files of a tunnel's two ends, with fresh keys."""
    return modes()[tunnel.mode].render(tunnel, Identity.issue(tunnel, authority))


def render_tunnel(tunnel: Tunnel, authority: Authority, roots: Mapping[str, Path]) -> None:
    """Write the files of a tunnel's two ends below each node's directory."""
    _write(rendered_tunnel(tunnel, authority), tunnel, roots)


def _write(files: Mapping[End, Sequence[RenderedFile]], tunnel: Tunnel, roots: Mapping[str, Path]) -> None:
    write_all(files["server"], roots[tunnel.server])
    write_all(files["client"], roots[tunnel.client])
