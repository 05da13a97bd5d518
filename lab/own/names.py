"""The addresses of host names in a node, as far as the topology tells: its own nodes, and hosts files."""

import re
from collections.abc import Iterator
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from lab.core.prefixes import Address
from lab.topology import Topology
from lab.topology.segments import endpoints_of

_LIMIT = 1 << 20
_ECHO = re.compile(r"""(?:echo|printf)\s+["']?(?P<line>[0-9a-fA-F:.]+[ \t][^"'>\\]*)[^>]*>>?\s*/etc/hosts""")
_HOSTS = "/etc/hosts"


class Names:
    """Looks up host names in one node."""

    def __init__(self, topology: Topology, node: str) -> None:
        self._topology, self._node = topology, node

    def addresses(self, host: str) -> list[Address]:
        """Return the addresses of a name or of an address itself; empty if they are not known."""
        try:
            return [ip_address(host.strip("[]"))]
        except ValueError:
            pass
        if found := self._hosts.get(host.lower().rstrip(".")):
            return found
        if host in self._topology.nodes:
            return [address.ip for end in endpoints_of(self._topology, host) for address in end.addresses]
        return []

    @cached_property
    def _hosts(self) -> dict[str, list[Address]]:
        """The entries of the node's hosts file (hosts(5)): a bind mount, and lines that `exec` appends."""
        found: dict[str, list[Address]] = {}
        for line in self._lines():
            address, *names = line.partition("#")[0].split() or [""]
            try:
                parsed = ip_address(address)
            except ValueError:
                continue
            for name in names:
                found.setdefault(name.lower(), []).append(parsed)
        return found

    def _lines(self) -> Iterator[str]:
        node = self._topology.nodes[self._node]
        for bind in node.binds:
            source, _, rest = bind.partition(":")
            if rest.partition(":")[0] == _HOSTS and Path(source).is_file():
                with Path(source).open(errors="replace") as file:
                    yield from file.read(_LIMIT).splitlines()
        for command in node.exec:
            yield from (match["line"] for match in _ECHO.finditer(command))
