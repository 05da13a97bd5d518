"""Counters of a node's kernel for packets that it could not forward (RFC 4293, ipSystemStatsInNoRoutes).

A busy host loses packets in many places; only packets without a route to their destination are counted here.
"""

from pathlib import Path

from lab.engine.namespace import Namespace
from lab.topology import Family


def without_route(namespace: Namespace, family: Family) -> int:
    """Return the number of packets that the namespace could not forward because it had no route."""
    net = Path(f"/proc/{namespace.pid}/net")
    if family == "ipv6":
        return _of_lines((net / "snmp6").read_text(), "Ip6InNoRoutes")
    return _of_columns((net / "netstat").read_text(), "IpExt", "InNoRoutes")


def _of_lines(table: str, name: str) -> int:
    """Return a counter of a table with one counter per line."""
    return int(dict(line.split() for line in table.splitlines())[name])


def _of_columns(table: str, group: str, name: str) -> int:
    """Return a counter of a table in which a line of values follows each line of names."""
    names, values = (line.split() for line in table.splitlines() if line.startswith(f"{group}:"))
    return int(dict(zip(names, values, strict=True))[name])
