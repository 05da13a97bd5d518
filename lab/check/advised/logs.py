"""Log lines of a tunnel's ends that trials wait for, and the sessions that they are about."""

import re

from lab.check.advised.scene import Scene
from lab.check.advised.undisturbed import WITHIN
from lab.core.expect import Expectation, wait_for
from lab.tunnel import RunningTunnel
from lab.tunnel.mode import End
from lab.tunnel.running import OpenVpn

COMPLETED = "Initialization Sequence Completed"
FULL = "would exceed maximum number of clients"
TIMEOUT = "Inactivity timeout"
NOTICE = r"remote-exit|delayed-exit|CC-EEN|server-pushed-connection-reset|[Cc]onnection reset|process exiting"
"""Log lines of an end whose peer announces that it stops."""


def expect_line(what: str, *places: tuple[OpenVpn, re.Pattern[str], int]) -> str:
    """Wait for a text in one of several logs, each from an offset; return the first line with one."""
    process = places[0][0]
    found = wait_for(
        Expectation(
            what=what,
            node=process.node.name,
            look=lambda: [line for of, pattern, since in places for line in matching(of, pattern, since)],
            met=bool,
            logs=process.log,
        ),
        within=WITHIN,
    )
    return found[0]


def named_clients(tunnel: RunningTunnel, name: str | None = None) -> list[int]:
    """Return the server's sessions, of one common name or of all, without clients that are not authenticated yet."""
    with tunnel.server.management() as server:
        clients = server.server_status().clients
    return [c.client_id for c in clients if c.common_name != "UNDEF" and name in (None, c.common_name)]


def of_session(scene: Scene, end: End, pattern: str) -> re.Pattern[str]:
    """Return a pattern for the log lines of an end that are about the tunnel's session.

    A server's log has also lines of its other clients, and of old sessions of this client.
    """
    if end == "client" or scene.server.role != "server":
        return re.compile(pattern)
    with scene.tunnel.server.management() as server:
        clients = server.server_status().clients
    mine = [c for c in clients if scene.common_name in (None, c.common_name) and c.common_name != "UNDEF"]
    newest = max(mine, key=lambda c: c.client_id, default=None)
    port = newest.real_address.rpartition(":")[2] if newest is not None else ""
    return re.compile(rf"/\S+:{port} .*({pattern})" if port.isdecimal() else pattern)


def matching(process: OpenVpn, pattern: re.Pattern[str], since: int) -> list[str]:
    """Return the lines of a log, from an offset, in which a pattern is found."""
    return [line for line in process.log_lines(since=since) if pattern.search(line)]
