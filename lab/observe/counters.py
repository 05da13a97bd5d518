"""What a node's kernel counts of the packets it could not pass on (RFC 4293, ipSystemStatsInNoRoutes).

A busy machine loses packets in many places; a packet that came while there was no route to its destination is
counted here, and nowhere else.
"""

from pathlib import Path

from lab.engine.namespace import Namespace
from lab.topology import Family


def without_route(namespace: Namespace, family: Family) -> int:
    """Packets that came in since the namespace was made, were to be passed on and had no route."""
    net = Path(f"/proc/{namespace.pid}/net")
    if family == "ipv6":
        return _of_lines((net / "snmp6").read_text(), "Ip6InNoRoutes")
    return _of_columns((net / "netstat").read_text(), "IpExt", "InNoRoutes")


def _of_lines(table: str, name: str) -> int:
    """A counter of a table that has one to a line."""
    return int(dict(line.split() for line in table.splitlines())[name])


def _of_columns(table: str, group: str, name: str) -> int:
    """A counter of a table in which a line of names stands above a line of values."""
    names, values = (line.split() for line in table.splitlines() if line.startswith(f"{group}:"))
    return int(dict(zip(names, values, strict=True))[name])
