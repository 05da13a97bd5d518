"""The address that an OpenVPN client connects to, and the sockets of a node that wait for a peer."""

import re
from collections.abc import Sequence
from ipaddress import ip_address

from lab.engine.namespace import Namespace
from lab.observe.sockets import SocketAddress, State, sockets

_REMOTE = re.compile(
    r"(?:remote address|link remote|TCP connection with|connect to):? \[AF_INET6?\](?P<host>\S+):(?P<port>\d+)"
)


def remote_of(log: Sequence[str], transport: str) -> SocketAddress | None:
    """Return the address that a client tried last, from its log; None if it has none."""
    for line in reversed(log):
        if found := _REMOTE.search(line):
            try:
                host = ip_address(found["host"].strip("[]").removeprefix("::ffff:"))
            except ValueError:
                continue
            return SocketAddress(transport, host, int(found["port"]))
    return None


def listening(namespace: Namespace) -> list[SocketAddress]:
    """Return the sockets of a node that wait for a peer."""
    waiting = (*sockets(namespace, "tcp", State.LISTENING), *sockets(namespace, "udp", State.UNCONNECTED))
    return [each.local for each in waiting]
