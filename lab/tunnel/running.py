"""Running tunnels: start, stop, query and reconfigure their two OpenVPN processes."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from lab.core.errors import EnvironmentBroken, ExpectationFailed, InputError, LabError, NotSupported
from lab.core.expect import Expectation, wait_for
from lab.core.files import RenderedFile, write_all
from lab.core.secrets import mask_secrets
from lab.engine.devices import addresses_of
from lab.engine.node import RunningNode
from lab.topology import EndAddresses, ExtraLine, Tunnel, placed
from lab.topology.own import OwnProcess
from lab.tunnel.extra import arguments, find_own_line, find_refused_line
from lab.tunnel.management import ConnectedClient, Management, ManagementError, TcpAddress, host_of
from lab.tunnel.mode import End, Identity, Process, TunnelMode, processes
from lab.tunnel.own import mode_of, refuse
from lab.tunnel.reason import AUTH_FAILED, Reason, describe_end, find_refusal, last_line

if TYPE_CHECKING:
    from lab.tunnel.pki import Authority, Credentials

KERNEL_KIND = "ovpn"
"""The prefix of the kinds of devices that forward data in the kernel (DCO)."""
_STARTED_WITHIN = 30.0
CONNECTED_WITHIN = 60.0
"""Seconds until a process is connected; one or two are usual."""
_CHECK_INTERVAL = 0.2
"""Seconds between two checks whether a process that does not answer yet has ended."""
_STATE_INTERVAL = 1.0
"""Seconds between two queries for the state of a process that is late."""
_ENDED = "ENDED"
"""The state of a process that has ended; not one of OpenVPN's own."""
_CIPHER = re.compile(r"Data Channel: cipher '([^']+)'")


def unexplained(name: str) -> str:
    """Return no cause."""
    return ""


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
        """Return the output of `openvpn --version` in a node, which begins as in `OpenVPN 2.7.8 …`.

        Raises `EnvironmentBroken` if it prints something else.
        """
        with self._lock:
            digest = node.instance.digest
            if digest not in self._by_digest:
                result = node.exec("openvpn", "--version")
                if not result.stdout.startswith("OpenVPN "):  # the exit code does not tell: old versions exit with 1
                    printed = (result.stderr.strip() or result.stdout.strip() or "nothing").splitlines()[-1]
                    raise EnvironmentBroken(
                        f"{node.name}: `openvpn --version` does not print its version but {printed!r}: "
                        "name an image with a working OpenVPN in the node's `image`"
                    )
                self._by_digest[digest] = result.stdout
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
        self.more: tuple[str, ...] = ()
        """More arguments at its next start."""
        self._versions = versions
        self._extra = extra
        """The last lines of its configuration, if the topology has some."""
        self._start = Lock()
        self._alive: Callable[[], bool] | None = None
        """Reports whether the process runs; None if this object has not started it."""

    def __str__(self) -> str:
        own = self.process.own
        return f"OpenVPN process {own.name}" if own else f"OpenVPN {self.process.end} of {self.process.tunnel}"

    @property
    def log(self) -> Path:
        """The path of the log on the host."""
        return log_of(self.node, self.process)

    def management(self) -> Management:
        """Connect to the running process; raises `ManagementError` if it does not run."""
        own = self.process.own
        if own is None or (own.management_tcp is None and own.management_password is None):
            return Management(self.node.root / self.process.socket.relative_to("/"))
        password = None
        if own.management_password is not None:
            lines = (self.node.root / own.management_password.relative_to("/")).read_text().splitlines()
            password = lines[0] if lines else ""
        if own.management_tcp is None:
            return Management(self.node.root / self.process.socket.relative_to("/"), password)
        return Management(TcpAddress(self.node.namespace, *own.management_tcp), password)

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
        if self.process.own and self.process.own.directories:
            self.node.exec("mkdir", "-p", *map(str, self.process.own.directories)).raise_on_error()
        self._alive = self.node.spawn((*self.process.argv, *self.more))
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
            raise self.end_error()

    def wait_connected(self, within: float = CONNECTED_WITHIN, explain: Callable[[], str] | None = None) -> None:
        """Wait until the process reports CONNECTED: a server ready for clients, a client connected to its server.

        `explain` returns the cause if it does not.
        """
        deadline = time.monotonic() + within
        state = wait_for(
            Expectation(
                what=f"{self} to be CONNECTED",
                node=self.node.name,
                look=lambda: self._state_until(deadline),
                met=lambda state: state in ("CONNECTED", _ENDED),
                seen=lambda state: f"{state}; {self.last_line()}",
                logs=self.log,
                explain=explain,
            ),
            within=within,
        )
        if state == _ENDED:
            raise self.end_error()

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
                # After the deadline too, or each look would be a query, and each query four lines of the log.
                soon = time.monotonic() + _STATE_INTERVAL
                return management.wait_for_state("CONNECTED", max(deadline, soon)).name
        except ManagementError:
            if self._ended():
                return _ENDED
            raise

    def _ended(self) -> bool:
        return self._alive is not None and not self._alive()

    def end_error(self) -> LabError:
        """Return the error that says why the process ended: with the place if OpenVPN refused a line."""
        reason = describe_end(self.log_lines())
        configuration = self.node.files / self.process.configuration.relative_to("/")
        if self._extra and configuration.exists():
            refused = find_refused_line(reason, configuration.read_text(errors="replace"), self._extra)
            if refused is not None:
                line, why = refused
                return InputError(f"{line.at}: OpenVPN: {why}: {mask_secrets(line.text.strip())}")
        if self.process.own is not None and (place := find_own_line(reason, self.process.own, self.node.files)):
            at, why = place
            return InputError(f"{at}: OpenVPN: {why}")
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

    def wait_connected(self, within: float = CONNECTED_WITHIN, explain: Callable[[], str] | None = None) -> None:
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
        own: Iterable[OwnProcess] = (),
        explain: Callable[[str], str] = unexplained,
    ) -> None:
        """Join the tunnels in `sharing`, which use the same server process.

        `roots` are the directories on the host below which each node's files are rendered, `external` is true if the
        client is an external node, `own` has the processes that run with files of the user's. `explain` returns the
        cause why the tunnel of a name is down, empty if it is unknown.
        """
        self.tunnel = tunnel
        self.sharing = sharing
        """The tunnels that use the same server process, this one included."""
        ends = processes(tunnel, own)
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
        self._explain = explain

    def __str__(self) -> str:
        return f"tunnel {self.name}"

    @property
    def name(self) -> str:
        """The tunnel's name."""
        return self.tunnel.name

    @property
    def mode(self) -> TunnelMode:
        """The tunnel's mode."""
        return mode_of(self.tunnel)

    @property
    def authority(self) -> "Authority":
        """The lab's authority, which issues the certificates of both ends."""
        return self._authority()

    def device(self, node: str) -> str:
        """Return the tunnel's interface on one of its two nodes."""
        return self.tunnel.server_device if node == self.tunnel.server else self.tunnel.device

    def addresses(self, node: str) -> EndAddresses:
        """Return the addresses of one of its two ends.

        Inner ones that the user's own files do not tell are those that its device has now; they are None while the
        device has none. Raises `EnvironmentBroken` if they are not known and the node is down.
        """
        at_server = node == self.tunnel.server
        declared = self.tunnel.server_at if at_server else self.tunnel.client_at
        if not self.tunnel.own or self.external or None not in (declared.ipv4, declared.ipv6):
            return declared
        namespace = (self.server if at_server else self.client).node.namespace
        found = [a for a in namespace.run(partial(addresses_of, self.device(node))) if not a.is_link_local]
        ipv4 = next((a for a in found if isinstance(a, IPv4Interface)), None)
        ipv6 = next((a for a in found if isinstance(a, IPv6Interface)), None)
        return declared.model_copy(update={"ipv4": declared.ipv4 or ipv4, "ipv6": declared.ipv6 or ipv6})

    def completed(self) -> Tunnel:
        """Return the tunnel of the topology with the addresses that its ends have now (`addresses`)."""
        ends = {"server_at": self.addresses(self.tunnel.server), "client_at": self.addresses(self.tunnel.client)}
        return self.tunnel.model_copy(update=ends)

    def start(self) -> None:
        """Start the server, then the client, and wait until they are connected."""
        self.launch()
        self.wait_connected()

    def wait_connected(self, within: float = CONNECTED_WITHIN) -> None:
        """Wait until both ends are connected; a server without `mode server` is connected as soon as its client is.

        Raises `ExpectationFailed` with the cause.
        """
        self._wait_connected(within, self._cause)

    def _wait_connected(self, within: float, explain: Callable[[], str] | None) -> None:
        self.server.wait_connected(within, explain)
        with self._explaining_refusal():
            self.client.wait_connected(within, explain)

    @contextmanager
    def _explaining_refusal(self) -> Iterator[None]:
        """Add the cause to the error of a client whose process has ended because its server refused it."""
        try:
            yield
        except EnvironmentBroken as error:
            cause = self._cause() if AUTH_FAILED in str(error) else ""
            if not cause:
                raise
            raise EnvironmentBroken(f"{error}; cause: {cause}") from error

    def _cause(self) -> str:
        """Return the cause why the tunnel is down, or at least the reason in its logs; empty if there is none."""
        return self._explain(self.name) or self._refusal()

    def connects(self, within: float) -> bool:
        """Wait until both ends are connected; return False if they are not. Raises an error if one ends."""
        try:
            self._wait_connected(within, None)
        except (ExpectationFailed, ManagementError):
            return False
        return True

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
            reason = describe_end(ended.log_lines())
            if AUTH_FAILED in reason:  # the server's log has more
                reason = self._refusal() or reason
            raise EnvironmentBroken(f"{self} is down: {ended} does not run: {reason}") from error
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
            client = self._find_client(server.server_status().clients)
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

    def _find_client(self, clients: Sequence[ConnectedClient]) -> ConnectedClient | None:
        """Return this tunnel's client among those of its server: by its common name, else by its real address."""
        own = self.client.process.own
        name = own.common_name if own else self.tunnel.client
        named = [client for client in clients if name is None or client.common_name == name]
        outer = self.tunnel.client_at.outer
        there = [client for client in named if outer is not None and host_of(client.real_address) == str(outer)]
        # Several clients can have one name (`duplicate-cn`), and a NAT can change an address.
        found = there or (named if len(named) == 1 else [])
        return found[0] if found else None

    def refusal(self) -> Reason | None:
        """Return why the latest attempt to connect failed, from the logs of both ends; None if they do not say."""
        return find_refusal(self.client.log_lines(), self.server.log_lines())

    def _refusal(self) -> str:
        """Return the log line with the reason and its node; empty if there is none."""
        refused = self.refusal()
        if refused is None:
            return ""
        return f"{self.tunnel.server if refused.end == 'server' else self.tunnel.client} logged: {refused.words}"

    def _reason(self, fallback: OpenVpn) -> str:
        """Return the log line with the reason and its node, or the last line of the fallback's log."""
        return self._refusal() or fallback.last_line()

    @contextmanager
    def configured(self, **options: Any) -> Iterator[None]:
        """Run the tunnel with other options of its mode in the context, and restore its own afterwards.

        Both processes restart on entry and on exit, and those of all tunnels that share the server. Raises `InputError`
        for a tunnel with files of the user's.
        """
        self._require_rendered("run with options of a mode")
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
        self._require_rendered("run with other credentials")
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
        self._require_rendered("run with options of a mode")
        ends: dict[End, Mapping[str, Any]] = {"server": server, "client": client}
        files = {end: render_tunnel(_with(self.tunnel, options), self.authority)[end] for end, options in ends.items()}
        with self._launched(files):
            yield

    @contextmanager
    def extended(self, *, server: Sequence[str] = (), client: Sequence[str] = ()) -> Iterator[None]:
        """Run the tunnel in the context with extra lines in its configurations, and remove them afterwards.

        For options of OpenVPN that its mode does not have. Both processes restart on entry and on exit. On entry this
        does not wait for the client to be connected. To files of the user's the lines are added as arguments.
        """
        more: dict[End, Sequence[str]] = {"server": server, "client": client}
        if self.tunnel.own:
            with self._launched_with(more):
                yield
            return
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
                other.launch()
            yield
        finally:
            self._restart({})

    @contextmanager
    def _launched_with(self, lines: Mapping[End, Sequence[str]]) -> Iterator[None]:
        self._stop_all()
        self.server.more, self.client.more = arguments(lines["server"]), arguments(lines["client"])
        try:
            for other in self.sharing:
                other.launch()
            yield
        finally:
            self._stop_all()
            self.server.more = self.client.more = ()
            for other in self.sharing:
                other.start()

    def _require_rendered(self, what: str) -> None:
        if self.tunnel.own:
            refuse(self.tunnel, what)

    def launch(self) -> None:
        """Start both processes; one with `mode server` is ready before the client starts."""
        for process in (self.server, self.client):
            process.require(self.mode)
        self.server.start()
        if self.mode.traits.mode_server:
            self.server.wait_connected()
        with self._explaining_refusal():
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
    own: Iterable[OwnProcess] = (),
    explain: Callable[[str], str] = unexplained,
) -> dict[str, RunningTunnel]:
    """Return the tunnels of a running lab by name, linked to those that share their server process.

    `external` are the names of the external nodes, `own` the processes with files of the user's; for `explain` see
    `RunningTunnel`.
    """
    servers: dict[Process, list[RunningTunnel]] = {}
    versions = Versions()

    def running(tunnel: Tunnel) -> RunningTunnel:
        sharing = servers.setdefault(processes(tunnel, own)["server"], [])
        is_external = tunnel.client in external
        return RunningTunnel(
            tunnel, nodes, roots, authority, sharing, versions, external=is_external, own=own, explain=explain
        )

    return {tunnel.name: running(tunnel) for tunnel in tunnels}


def lone_processes(
    own: Iterable[OwnProcess], tunnels: Iterable[Tunnel], nodes: Mapping[str, RunningNode]
) -> dict[str, OpenVpn]:
    """Return the processes with files of the user's that are not an end of a tunnel of the lab, by name."""
    versions = Versions()
    paired = {name for tunnel in tunnels for name in (tunnel.own_server, tunnel.own_client)}
    return {
        process.name: OpenVpn(Process.of(process), nodes[process.node], process.device, versions)
        for process in own
        if process.name not in paired
    }


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
    return mode_of(tunnel).render(tunnel, Identity.issue(tunnel, authority))


def write_tunnel(tunnel: Tunnel, authority: "Authority", roots: Mapping[str, Path]) -> None:
    """Write the files of a tunnel's two ends below each node's directory; those of the user's are not rendered."""
    if tunnel.own:
        return
    _write(render_tunnel(tunnel, authority), tunnel, roots)


def _write(files: Mapping[End, Sequence[RenderedFile]], tunnel: Tunnel, roots: Mapping[str, Path]) -> None:
    write_all(files["server"], roots[tunnel.server])
    write_all(files["client"], roots[tunnel.client])
