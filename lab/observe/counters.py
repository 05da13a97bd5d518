"""Counters of a node's kernel for packets and segments that it dropped (RFC 4293 and Linux's own).

The names are those of nstat(8). A busy host loses packets in many places; each counter tells one reason.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from lab.core.errors import EnvironmentBroken
from lab.engine.namespace import Namespace
from lab.topology import Family

DROPPED_BY_RP_FILTER = "TcpExtIPReversePathFilter"
DROPPED_BY_TTL = "TcpExtTCPMinTTLDrop"
"""Segments with a TTL lower than the generalized TTL security mechanism asks for (RFC 5082)."""
REFUSED_BY_MD5: Mapping[str, str] = {
    "TcpExtTCPMD5Failure": "with a wrong password",
    "TcpExtTCPMD5NotFound": "without a password",
    "TcpExtTCPMD5Unexpected": "with an unexpected password",
}
"""The counters of segments that TCP MD5 (RFC 2385) refuses, and what was wrong with those."""
_WITHOUT_ROUTE: Mapping[Family, str] = {"ipv4": "IpExtInNoRoutes", "ipv6": "Ip6InNoRoutes"}


def counters(namespace: Namespace) -> Mapping[str, int]:
    """Return the counters of a namespace by name, as `IpExtInNoRoutes` or `Ip6InNoRoutes`; empty if it has ended."""
    net = Path(f"/proc/{namespace.pid}/net")
    found: dict[str, int] = {}
    for file, parse in (("snmp", of_columns), ("netstat", of_columns), ("snmp6", of_lines)):
        try:
            found.update(parse((net / file).read_text()))
        except OSError:  # the node has just ended, or IPv6 is off
            continue
    return found


def without_route(namespace: Namespace, family: Family) -> int:
    """Return the number of packets that the namespace could not forward because it had no route.

    Raises `EnvironmentBroken` if the kernel does not count them.
    """
    name = _WITHOUT_ROUTE[family]
    try:
        return counters(namespace)[name]
    except KeyError:
        raise EnvironmentBroken(
            f"the kernel has no counter {name} in the namespace of process {namespace.pid}"
        ) from None


def of_columns(table: str) -> Iterator[tuple[str, int]]:
    """Parse a table in which a line of values follows each line of names (/proc/net/snmp, /proc/net/netstat)."""
    lines = table.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        group = names.partition(":")[0]
        for name, value in zip(names.split()[1:], values.split()[1:], strict=True):
            yield f"{group}{name}", int(value)


def of_lines(table: str) -> Iterator[tuple[str, int]]:
    """Parse a table with one counter per line (/proc/net/snmp6)."""
    for line in table.splitlines():
        name, value = line.split()
        yield name, int(value)
