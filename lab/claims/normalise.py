"""Evidence without what differs between two runs: ports, times, session ids, drawn prefixes.

What stays is what a reader checks a verdict by: addresses of the topology, well-known ports, the words of a log line.
The files that keep the evidence hold it as it was seen.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from lab.core.prefixes import POOLS, Family

_OPENVPN_PORTS = range(1194, 1204)
"""The ports of a lab's tunnels: 1194, and the next ones for further processes of a node."""

_DRAWN = 4096
"""Labs draw prefixes from the beginning of the pool; addresses beyond this many are the topology's own."""

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?( us=\d+)?", "TIME"),
        (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "MAC"),
        # An interface identifier that the kernel drew, not one such as fe80::1.
        (r"\bfe80::[0-9a-f]{1,4}(:[0-9a-f]{1,4}){2,3}", "fe80::ID"),
        (r"\b(sid=)(?!0{8} 0{8})[0-9a-f]{8} [0-9a-f]{8}\b", r"\1ID ID"),
        (r"\b(pid[ =:]?)\d+\b", r"\1PID"),
        (r"\b(after|within|took) \d+(\.\d+)? (s|ms)\b", r"\1 TIME"),
        # Of a payload's bytes the first three say what it is; the rest is random or encrypted.
        (r"\b([0-9a-f]{2}( [0-9a-f]{2}){2})( [0-9a-f]{2}){5,}\b", r"\1 …"),
    )
)
_IPV4_PORT = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}:)(\d{1,5})\b")
_IPV6_PORT = re.compile(r"(\[[0-9a-f:]+\]:)(\d{1,5})\b")
_SUMMARY_PORTS = re.compile(r"\b(?:TCP|UDP) (\S+):(\S+) > (\S+):(\S+)")
"""Ports in Scapy's summary of a packet, where an IPv6 address is without brackets."""
_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w:])")


class Normaliser:
    """Rewrites the texts of one finding, in their order."""

    def __init__(self) -> None:
        self._numbers: dict[Family, dict[int, int]] = {"ipv4": {}, "ipv6": {}}

    def __call__(self, text: str) -> str:
        """Return a text in which nothing depends on the run.

        Prefixes that a lab drew (`Lab.free_prefix`) are numbered in the order in which this finding names them: which
        one a test gets depends on what other tests drew from the same lab.
        """
        text = _SUMMARY_PORTS.sub(_in_summary, text)
        for pattern in (_IPV4_PORT, _IPV6_PORT):
            text = pattern.sub(lambda found: found[1] + _port(found[2]), text)
        for rule, replacement in _RULES:
            text = rule.sub(replacement, text)
        return _ADDRESS.sub(lambda found: self._renumbered(found[0]), text)

    def _renumbered(self, text: str) -> str:
        try:
            address = ip_address(text)
        except ValueError:
            return text
        family: Family = "ipv4" if isinstance(address, IPv4Address) else "ipv6"
        pool, length = POOLS[family]
        if address not in pool:
            return text
        base, size = int(pool.network_address), 1 << (pool.max_prefixlen - length)
        index, within = divmod(int(address) - base, size)
        if index >= _DRAWN:
            return text
        number = self._numbers[family].setdefault(index, len(self._numbers[family]))
        kind = IPv4Address if family == "ipv4" else IPv6Address
        return str(kind(base + number * size + within))


def _port(text: str) -> str:
    """Return a port that a program chose by its configuration, and `PORT` for one that a kernel or a NAT drew."""
    if not text.isdigit():
        return text
    port = int(text)
    return text if port < 1024 or port in _OPENVPN_PORTS else "PORT"


def _in_summary(found: re.Match[str]) -> str:
    source, port, destination, other = found.groups()
    protocol = found[0][:3]
    return f"{protocol} {source}:{_port(port)} > {destination}:{_port(other)}"
