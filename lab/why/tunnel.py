"""Why a tunnel is down."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from lab.configs.numbers import is_number
from lab.configs.openvpn.configuration import Directive
from lab.core.errors import LabError
from lab.observe.sockets import SocketAddress
from lab.runtime.lab import Lab
from lab.tunnel import OpenVpn, RunningTunnel
from lab.tunnel.reason import AUTH_FAILED, find_end_reason, without_time
from lab.why.cause import Cause, Explanation, Observation, one
from lab.why.in_force import InForce, in_force
from lab.why.kernel import route_of
from lab.why.listening import listening, remote_of
from lab.why.nodes import node_stopped
from lab.why.recursion import recursion
from lab.why.refusal import Refusal, cause_of
from lab.why.targets import holder

_FROZEN = ("T", "t")
"""States of a process that a signal or a debugger has stopped (proc(5))."""


def tunnel_down(lab: Lab, tunnel: RunningTunnel) -> Explanation:
    """Return why a tunnel is not connected; no finding if it is."""
    ends = [tunnel.server] if tunnel.external else [tunnel.server, tunnel.client]
    for end in ends:
        if (cause := _process(lab, tunnel, end)) is not None:
            return one(cause)
    try:
        tunnel.status()
    except LabError as error:
        return _not_connected(lab, tunnel, str(error))
    return Explanation()


def _process(lab: Lab, tunnel: RunningTunnel, end: OpenVpn) -> Cause | None:
    """Return why the process of an end does not run; None if it does, or if the other end has refused it."""
    node = end.node.name
    if (stopped := node_stopped(lab, node)) is not None:
        return stopped
    pid = end.node.find_process(end.process.argv)
    if pid is None:
        return _ended(tunnel, end)
    if _state_of(pid) in _FROZEN:
        seen = Observation(node, "processes", f"{end} is stopped (state {_state_of(pid)})")
        return Cause("process-frozen", node, f"{node}: {end} is stopped by a signal", "continue it (SIGCONT)", (seen,))
    return None


def _ended(tunnel: RunningTunnel, end: OpenVpn) -> Cause:
    node, reason = end.node.name, find_end_reason(end.log_lines())
    if AUTH_FAILED in reason and (cause := _refusal(tunnel)) is not None:
        return cause
    logged = Observation(node, "log of OpenVPN", reason)
    if "Options error" in reason:
        what = f"{node}: OpenVPN refuses its options: {end.end_error()}"
        return Cause("options-error", node, what, "correct this line, and start it again", (logged,))
    missing = Observation(node, "processes", f"no process `{' '.join(end.process.argv)}`")
    what = f"{node}: {end} does not run; its log ends with: {without_time(reason)}"
    return Cause("process-ended", node, what, "start it again", (missing, logged))


def _refusal(tunnel: RunningTunnel) -> Cause | None:
    """Return the cause that the logs of both ends name."""
    reason = tunnel.refusal()
    if reason is None:
        return None
    here, there = tunnel.server, tunnel.client
    if reason.end == "client":
        here, there = there, here
    return cause_of(Refusal(reason, in_force(here), in_force(there)))


def _not_connected(lab: Lab, tunnel: RunningTunnel, said: str) -> Explanation:
    if tunnel.external:
        return Explanation(apart=f"{said}; the log of {tunnel.tunnel.client}, which the lab cannot read")
    for find in (_restarted, _refusal, recursion, partial(_outside, lab)):
        if (cause := find(tunnel)) is not None:
            return one(cause)
    return Explanation(apart=said)


def _restarted(tunnel: RunningTunnel) -> Cause | None:
    """Return the cause if the server has started after the client had connected, which does not know it yet."""
    try:
        with tunnel.server.management() as management:
            server = management.state()
        with tunnel.client.management() as management:
            client = management.state()
    except LabError:
        return None
    if not tunnel.mode.traits.mode_server or not client.connected or not server.connected:
        return None
    if server.since <= client.since:
        return None
    end = in_force(tunnel.client)
    seen = (
        Observation(tunnel.tunnel.server, "management interface", f"ready since {server.since:%H:%M:%S}"),
        Observation(tunnel.tunnel.client, "management interface", f"CONNECTED since {client.since:%H:%M:%S}"),
    )
    what = f"{end.node} still uses a session from before {tunnel.tunnel.server}'s OpenVPN started, which has no such "
    what += "session"
    mend = f"wait until its `ping-restart` ends it, or restart OpenVPN on {end.node}"
    return Cause("session-lost", end.node, what, mend, seen)


def _outside(lab: Lab, tunnel: RunningTunnel) -> Cause | None:
    """Return the cause if the client has no route to its server, or connects to a port at which it does not listen."""
    remote = remote_of(tunnel.client.log_lines(), tunnel.tunnel.transport)
    client = tunnel.tunnel.client
    if remote is None:
        return None
    reason = tunnel.refusal()
    logged = (Observation(client, "log of OpenVPN", reason.words),) if reason and reason.end == "client" else ()
    place = in_force(tunnel.client).place("remote")
    route = route_of(tunnel.client.node.namespace, None, remote.address)
    if route.refused:
        seen = Observation(client, f"ip route get {remote.address}", str(route))
        what = f"{client} has no route to {remote.address}, to which OpenVPN connects ({place})"
        return Cause("no-outer-route", client, what, f"add a route to {remote.address} on {client}", (seen, *logged))
    node = holder(lab, remote.address)
    if (proxy := in_force(tunnel.client).last("http-proxy", "socks-proxy")) is not None:
        return _proxy(lab, tunnel, proxy, node, replace(remote, transport="tcp"))
    if node != tunnel.tunnel.server:
        return None
    sockets = listening(tunnel.server.node.namespace)
    if any(socket.takes(remote) for socket in sockets):
        return None
    server = in_force(tunnel.server)
    where = [socket for socket in sockets if socket.port in (remote.port, _port(server, tunnel.tunnel.port))]
    if not where:  # it is about to start again
        return None
    seen = Observation(server.node, "sockets", ", ".join(map(str, where)))
    what = f"{server.node} does not listen on {remote}, to which {client} connects, but on "
    what += " and ".join(map(str, where))
    mend = f"set `port`, `proto` and `local` in {server.file} to fit `remote` and `proto` in {place}"
    return Cause("wrong-port", server.node, what, mend, (seen, *logged))


def _proxy(lab: Lab, tunnel: RunningTunnel, option: Directive, node: str, proxy: SocketAddress) -> Cause | None:
    """Return the cause if no program listens at the address of the client's proxy."""
    if not node or any(socket.takes(proxy) for socket in listening(lab.running_nodes[node].namespace)):
        return None
    client = in_force(tunnel.client)
    seen = Observation(node, "sockets", f"none takes {proxy}")
    what = f"{node} does not listen on {proxy}, the proxy of {client.node} (`{option}`)"
    return Cause("proxy-refused", node, what, f"start the proxy, or change {client.place(option.name)}", (seen,))


def _port(end: InForce, port: int) -> int:
    found = end.last("port", "lport")
    text = (found.argument(0) or "") if found else ""
    return int(text) if is_number(text) else port


def _state_of(pid: int) -> str:
    """Return the state of a process as in proc(5), for example `S` or `T`; empty if it has ended."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
