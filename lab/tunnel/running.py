"""Running tunnels: start, stop, query and reconfigure their two OpenVPN processes."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from lab.core.errors import EnvironmentBroken, InputError, LabError, NotSupported
from lab.core.expect import Expectation, wait_for
from lab.core.files import RenderedFile, write_all
from lab.core.secrets import mask_secrets
from lab.engine.node import RunningNode
from lab.topology import ExtraLine, Tunnel, placed
from lab.tunnel.extra import find_refused_line
from lab.tunnel.management import Management, ManagementError
from lab.tunnel.mode import End, Identity, Process, TunnelMode, modes, processes
from lab.tunnel.reason import find_end_reason, find_refusal, last_line

if TYPE_CHECKING:
    from lab.tunnel.pki import Authority, Credentials

KERNEL_KIND = "ovpn"
"""The prefix of the kinds of devices that forward data in the kernel (DCO)."""
_STARTED_WITHIN = 30.0
_CONNECTED_WITHIN = 60.0
_CHECK_INTERVAL = 0.2
"""Seconds between two checks whether a process that does not answer yet has ended."""
_ENDED = "ENDED"
"""The state of a process that has ended; not one of OpenVPN's own."""
_CIPHER = re.compile(r"Data Channel: cipher '([^']+)'")


@dataclass(frozen=True)
class TunnelStatus:
    """The status of a tunnel that is up, as both ends report it."""

    name: str
    server: str
    client: str
    real_address: str
    """The client's outer address and port, as the server sees it."""
    cipher: str | None
    """None if a server without `mode server` has not logged it (below `verb` 2)."""
    connected_since: datetime
    client_id: int | None
    """The server's number of the session, which a new session changes; None without `mode server`."""
    server_pid: int
    client_pid: int | None
    """None if the client is an external node."""
    bytes_to_server: int
    bytes_to_client: int


class Versions:
    """The versions of OpenVPN in the images of one lab; one node per image is queried."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_digest: dict[str, str] = {}

    def of(self, node: RunningNode) -> str:
        """Return the output of `openvpn --version` in a node, which begins as in `OpenVPN 2.7.8 …`."""
        with self._lock:
            digest = node.instance.digest
            if digest not in self._by_digest:
                # Old versions exit with 1.
                self._by_digest[digest] = node.exec("openvpn", "--version").stdout
            return self._by_digest[digest]


class OpenVpn:
    """One OpenVPN process of a tunnel."""

    def __init__(
        self,
        process: Process,
        node: RunningNode,
        device: str,
        versions: Versions,
        extra: Sequence[ExtraLine] = (),
    ) -> None:
        self.process = process
        self.node = node
        self.device = device
        """The tunnel's interface on the node."""
        self._versions = versions
        self._extra = extra
        """The last lines of its configuration, if the topology has some."""
        self._start = Lock()
        self._alive: Callable[[], bool] | None = None
        """Reports whether the process runs; None if this object has not started it."""

    def __str__(self) -> str:
        return f"OpenVPN {self.process.end} of {self.process.tunnel}"

    @property
    def log(self) -> Path:
        """The path of the log on the host."""
        return log_of(self.node, self.process)

    def management(self) -> Management:
        """Connect to the running process; raises `ManagementError` if it does not run."""
        return Management(self.node.root / self.process.socket.relative_to("/"))

    @property
    def running(self) -> bool:
        """True if the process answers."""
        try:
            with self.management():
                return True
        except ManagementError:
            return False

    def require(self, mode: TunnelMode) -> None:
        """Raise `NotSupported` if the kernel or OpenVPN lacks what a mode needs; OpenVPN itself would not report it."""
        kind = mode.traits.kernel
        if kind is None:
            return
        if why := self.node.try_device(kind):
            raise NotSupported(kind, f"mode {mode.name} needs this kind of device: {why}")
        version = self._versions.of(self.node)
        if not any(version.startswith(f"OpenVPN {supported}.") for supported in mode.traits.openvpn):
            versions, there = " or ".join(mode.traits.openvpn), version.split(" [")[0]
            raise NotSupported(kind, f"mode {mode.name} needs OpenVPN {versions}, and {self.node.name} has {there}")

    def start(self) -> None:
        """Start the process unless it runs, and wait until its management interface answers."""
        with self._start:  # tunnels that share a server start at the same time
            if not self.running:
                self._launch()

    def _launch(self) -> None:
        # A killed process leaves its DCO device behind, with which a new process cannot start. Any other device ends
        # with its process, or is persistent on purpose.
        self.node.remove_device(self.device, kind=KERNEL_KIND)
        self._alive = self.node.spawn(self.process.argv)
        checked = time.monotonic()

        def look() -> str:
            nonlocal checked
            if self.running:
                return "running"
            if time.monotonic() - checked < _CHECK_INTERVAL:
                return ""
            checked = time.monotonic()
            return _ENDED if self._ended() else ""

        state = wait_for(
            Expectation(
                what=f"{self} to start",
                node=self.node.name,
                look=look,
                met=bool,
                seen=lambda _: self.last_line(),
                logs=self.log,
            ),
            within=_STARTED_WITHIN,
        )
        if state == _ENDED:
            raise self._end_error()

    def wait_connected(self) -> None:
        """Wait until the process reports CONNECTED: a server ready for clients, a client connected to its server."""
        deadline = time.monotonic() + _CONNECTED_WITHIN
        state = wait_for(
            Expectation(
                what=f"{self} to be CONNECTED",
                node=self.node.name,
                look=lambda: self._state_until(deadline),
                met=lambda state: state in ("CONNECTED", _ENDED),
                seen=lambda state: f"{state}; {self.last_line()}",
                logs=self.log,
            ),
            within=_CONNECTED_WITHIN,
        )
        if state == _ENDED:
            raise self._end_error()

    def stop(self, signal: str = "TERM") -> None:
        """Signal the process and wait until it has ended; with TERM it notifies its peer, with KILL it does not."""
        try:
            with self.management() as management:
                pid = management.pid()
        except ManagementError:
            return
        self.node.signal(pid, signal)
        self.wait_ended(pid, signal)

    def wait_ended(self, pid: int, signal: str) -> None:
        """Wait until a signalled process has ended; `pid` is its id in the pid namespace of its node."""
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
        """Return the size of the log in bytes, from which `log_lines` can read on later."""
        return self.log.stat().st_size if self.log.exists() else 0

    def log_lines(self, containing: str = "", *, since: int = 0) -> list[str]:
        """Return the lines of the log from byte `since` on that contain a text."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(since)
            lines = file.read().decode(errors="replace").splitlines()
        return [line for line in lines if containing in line]

    def cipher(self) -> str | None:
        """Return the latest cipher of the data channel in the log; None if it is not logged."""
        found = (_CIPHER.search(line) for line in reversed(self.log_lines("Data Channel: cipher")))
        return next((match[1] for match in found if match), None)

    def last_line(self) -> str:
        """Return the last meaningful line of the log."""
        return last_line(self.log_lines())

    def _state_until(self, deadline: float) -> str:
        try:
            with self.management() as management:
                return management.wait_for_state("CONNECTED", deadline).name
        except ManagementError:
            if self._ended():
                return _ENDED
            raise

    def _ended(self) -> bool:
        return self._alive is not None and not self._alive()

    def _end_error(self) -> LabError:
        reason = find_end_reason(self.log_lines())
        configuration = self.node.files / self.process.configuration.relative_to("/")
        if self._extra and configuration.exists():
            refused = find_refused_line(reason, configuration.read_text(errors="replace"), self._extra)
            if refused is not None:
                line, why = refused
                return InputError(f"{line.at}: OpenVPN: {why}: {mask_secrets(line.text.strip())}")
        return EnvironmentBroken(f"{self.node.name}: {self} ended: {reason}")


class ExternalEnd(OpenVpn):
    """The end of a tunnel in an external node, which the lab can neither start nor query."""

    def __str__(self) -> str:
        return f"{super().__str__()} (external)"

    @property
    def running(self) -> bool:
        """True: the lab assumes that it runs."""
        return True

    def management(self) -> Management:
        """Raise `ManagementError`: an external node has no management interface."""
        raise ManagementError(f"{self} has no management interface")

    def require(self, mode: TunnelMode) -> None:
        """Require nothing: what an external node supports is not known."""

    def start(self) -> None:
        """Do nothing: its user starts it."""

    def wait_connected(self) -> None:
        """Do not wait: its state is not known."""

    def stop(self, signal: str = "TERM") -> None:
        """Do nothing: its user stops it."""


@dataclass(frozen=True)
class _Session:
    """A client as its server reports it."""

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
        authority: "Callable[[], Authority]",
        sharing: list["RunningTunnel"],
        versions: Versions,
        *,
        external: bool = False,
    ) -> None:
        """Join the tunnels in `sharing`, which use the same server process.

        `roots` are the directories on the host below which each node's files are rendered, `external` is true if the
        client is an external node.
        """
        self.tunnel = tunnel
        self.sharing = sharing
        """The tunnels that use the same server process, this one included."""
        ends = processes(tunnel)
        self.server: OpenVpn = (
            sharing[0].server
            if sharing
            else OpenVpn(ends["server"], nodes[tunnel.server], tunnel.server_device, versions, _extra(tunnel, "server"))
        )
        sharing.append(self)
        self.client = (ExternalEnd if external else OpenVpn)(
            ends["client"], nodes[tunnel.client], tunnel.device, versions, _extra(tunnel, "client")
        )
        self.external = external
        """True if the client is an external node, whose status only the server reports."""
        self._roots = roots
        self._authority = authority

    def __str__(self) -> str:
        return f"tunnel {self.name}"

    @property
    def name(self) -> str:
        """The tunnel's name."""
        return self.tunnel.name

    @property
    def mode(self) -> TunnelMode:
        """The tunnel's mode."""
        return modes()[self.tunnel.mode]

    @property
    def authority(self) -> "Authority":
        """The lab's authority, which issues the certificates of both ends."""
        return self._authority()

    def device(self, node: str) -> str:
        """Return the tunnel's interface on one of its two nodes."""
        return self.tunnel.server_device if node == self.tunnel.server else self.tunnel.device

    def start(self) -> None:
        """Start the server, then the client, and wait until they are connected."""
        self._launch()
        self.wait_connected()

    def wait_connected(self) -> None:
        """Wait until both ends are connected; a server without `mode server` is connected as soon as its client is."""
        self.server.wait_connected()
        self.client.wait_connected()

    def stop(self, signal: str = "TERM") -> None:
        """Stop the client, then the server unless it serves another tunnel."""
        self.client.stop(signal)
        if not any(other.client.running for other in self.sharing if other is not self):
            self.server.stop(signal)

    def status(self) -> TunnelStatus:
        """Query both ends; raises `EnvironmentBroken` with the reason from OpenVPN's logs if the tunnel is down."""
        state = client_pid = None
        try:
            if not self.external:
                with self.client.management() as client:
                    state, client_pid = client.state(), client.pid()
            with self.server.management() as server:
                session, server_pid = self._session(server), server.pid()
        except ManagementError as error:
            ended = self.server if self.client.running else self.client
            raise EnvironmentBroken(
                f"{self} is down: {ended} does not run: {find_end_reason(ended.log_lines())}"
            ) from error
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
        """Return the server's session with this tunnel's client; None if there is none."""
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
                # The count of a process is complete, that of a client lacks packets which are not accounted to it.
                received=counted.received if alone else client.bytes_received,
                sent=counted.sent if alone else client.bytes_sent,
            )
        state = server.state()
        if not state.connected:
            return None
        address = f"{state.remote}:{state.remote_port}"
        return _Session(address, state.since, self.server.cipher(), None, counted.received, counted.sent)

    def _reason(self, fallback: OpenVpn) -> str:
        """Return the log line with the reason and its node, or the last line of the fallback's log."""
        refused = find_refusal(self.client.log_lines(), self.server.log_lines())
        if refused is None:
            return fallback.last_line()
        end, words = refused
        return f"{self.tunnel.server if end == 'server' else self.tunnel.client} logged: {words}"

    @contextmanager
    def configured(self, **options: Any) -> Iterator[None]:
        """Run the tunnel with other options of its mode in the context, and restore its own afterwards.

        Both processes restart on entry and on exit, and those of all tunnels that share the server.
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
        server: "Credentials | None" = None,
        client: "Credentials | None" = None,
        revoked: "Sequence[Credentials]" = (),
    ) -> Iterator[None]:
        """Run the tunnel in the context with other or revoked credentials, and issue new ones afterwards.

        Both processes restart on entry and on exit. On entry this does not wait for the client to be connected, since
        the server may refuse it.
        """
        issued = Identity.issue(self.tunnel, self.authority)
        identity = replace(
            issued,
            server=server or issued.server,
            client=client or issued.client,
            revoked=self.authority.revocation_list(*revoked),
        )
        with self._launched(self.mode.render(self.tunnel, identity)):
            yield

    @contextmanager
    def mismatched(self, *, server: Mapping[str, Any], client: Mapping[str, Any]) -> Iterator[None]:
        """Run the tunnel in the context with different options at its two ends, and restore its own afterwards.

        Both processes restart on entry and on exit. On entry this does not wait for the client to be connected, since
        the options may be incompatible.
        """
        ends: dict[End, Mapping[str, Any]] = {"server": server, "client": client}
        files = {end: render_tunnel(_with(self.tunnel, options), self.authority)[end] for end, options in ends.items()}
        with self._launched(files):
            yield

    @contextmanager
    def extended(self, *, server: Sequence[str] = (), client: Sequence[str] = ()) -> Iterator[None]:
        """Run the tunnel in the context with extra lines in its configurations, and remove them afterwards.

        For options of OpenVPN that its mode does not have. Both processes restart on entry and on exit. On entry this
        does not wait for the client to be connected.
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
            for end, rendered in render_tunnel(self.tunnel, self.authority).items()
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
        """Start both processes; one with `mode server` is ready before the client starts."""
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
            write_tunnel(_with(other.tunnel, options), self.authority, self._roots)
        for other in self.sharing:
            other.start()


def running_tunnels(
    tunnels: Iterable[Tunnel],
    nodes: Mapping[str, RunningNode],
    roots: Mapping[str, Path],
    authority: "Callable[[], Authority]",
    *,
    external: Collection[str] = (),
) -> dict[str, RunningTunnel]:
    """Return the tunnels of a running lab by name, linked to those that share their server process.

    `external` are the names of the external nodes.
    """
    servers: dict[Process, list[RunningTunnel]] = {}
    versions = Versions()

    def running(tunnel: Tunnel) -> RunningTunnel:
        sharing = servers.setdefault(processes(tunnel)["server"], [])
        return RunningTunnel(tunnel, nodes, roots, authority, sharing, versions, external=tunnel.client in external)

    return {tunnel.name: running(tunnel) for tunnel in tunnels}


def _with(tunnel: Tunnel, options: Mapping[str, Any]) -> Tunnel:
    changed = {key.replace("_", "-"): value for key, value in options.items()}
    return tunnel.model_copy(update={"options": {**tunnel.options, **changed}})


def _extra(tunnel: Tunnel, end: End) -> Sequence[ExtraLine]:
    """Return the extra lines of one end with their places in the topology file."""
    options = tunnel.options.get("extra")
    extra = options.get(end) if isinstance(options, Mapping) else None
    key = f"the options of the tunnel {tunnel.name}: extra.{end}"
    return placed(tuple(extra) if isinstance(extra, list) else extra or (), tunnel.extra_at.get(end, ()), key)


def log_of(node: RunningNode, process: Process) -> Path:
    """Return the path of a process's log on the host."""
    return node.files / process.log.relative_to("/")


def render_tunnel(tunnel: Tunnel, authority: "Authority") -> Mapping[End, Sequence[RenderedFile]]:
    """Render the files of a tunnel's two ends, with new keys."""
    return modes()[tunnel.mode].render(tunnel, Identity.issue(tunnel, authority))


def write_tunnel(tunnel: Tunnel, authority: "Authority", roots: Mapping[str, Path]) -> None:
    """Write the files of a tunnel's two ends below each node's directory."""
    _write(render_tunnel(tunnel, authority), tunnel, roots)


def _write(files: Mapping[End, Sequence[RenderedFile]], tunnel: Tunnel, roots: Mapping[str, Path]) -> None:
    write_all(files["server"], roots[tunnel.server])
    write_all(files["client"], roots[tunnel.client])
