"""OpenVPN's inner table in a server process: which client has an address, and where a route for it would be set."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Self

from lab.configs.disk import Unreadable
from lab.configs.openvpn.configuration import words
from lab.core.prefixes import Address, Family, Prefix, family_of
from lab.tunnel.management import InnerRoute, ServerStatus
from lab.why.in_force import InForce

_ALL, _PRINTED_ALL = IPv4Network(0).supernet(32), "/0"
"""IPv4's default route, and how OpenVPN prints it: without the address."""
_CACHED = "C"
"""Ends an address that OpenVPN has learned from a packet, under a route of the table."""


@dataclass(frozen=True)
class Entry:
    """An entry of the inner table."""

    network: Prefix
    client: str
    """The common name of the client."""
    real_address: str
    cached: bool = False

    @property
    def is_route(self) -> bool:
        """True for an `iroute`, False for a client's own address or a learned one."""
        return not self.cached and self.network.prefixlen < self.network.max_prefixlen

    @property
    def is_default(self) -> bool:
        """True for a default route."""
        return self.network.prefixlen == 0

    def __str__(self) -> str:
        return f"{self.network} -> {self.client or self.real_address}"


@dataclass(frozen=True)
class InnerTable:
    """The inner table of a process in `mode server` over `tun`."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, status: ServerStatus) -> Self:
        """Read it from a server's status; entries that are not IP networks are left out."""
        return cls(tuple(entry for route in status.routes if (entry := _entry(route)) is not None))

    def find(self, address: Address) -> Entry | None:
        """Return the entry that OpenVPN uses for an address: the most specific one."""
        covering = [entry for entry in self.entries if address in entry.network]
        return max(covering, key=lambda entry: entry.network.prefixlen, default=None)

    def route(self, address: Address) -> Entry | None:
        """Return the most specific entry for an address without learned ones."""
        return InnerTable(tuple(entry for entry in self.entries if not entry.cached)).find(address)

    def routes(self, real_address: str, family: Family) -> list[Entry]:
        """Return the inner routes of one family that a client has."""
        return [
            entry
            for entry in self.entries
            if entry.is_route and entry.real_address == real_address and family_of(entry.network) == family
        ]

    def __str__(self) -> str:
        return ", ".join(str(entry) for entry in self.entries if not entry.cached) or "empty"


def _entry(route: InnerRoute) -> Entry | None:
    text = route.address.partition("@")[0]  # a VLAN
    cached = text.endswith(_CACHED)
    text = text.removesuffix(_CACHED)
    try:
        network = _ALL if text == _PRINTED_ALL else ip_network(text, strict=False)
    except ValueError:  # a MAC address
        return None
    return Entry(network, route.common_name, route.real_address, cached)


def iroute_line(network: Prefix) -> str:
    """Return the option that gives a client an inner route."""
    if network.version == 6:
        return f"iroute-ipv6 {network}"
    return f"iroute {network.network_address} {network.netmask}"


def hand_out(server: InForce, client: str) -> str:
    """Return the file from which a server takes the inner routes of a client, or where to make one."""
    known = [
        inner.spot for entry in server.client_options.entries if entry.client in (client, None) for inner in entry.inner
    ]
    if known:
        return server.given(known[-1].file)
    configuration = server.configuration
    directory = server.last("client-config-dir")
    if directory is not None:
        path = configuration.locate(directory.name, directory.argument(0) or "")
        names = configuration.disk.names(path)
        name = "DEFAULT" if "DEFAULT" in names and client not in names else client
        return server.given(configuration.disk.name(path / name))
    script = server.last("client-connect")
    if script is not None and (path_of_script := _script(script.arguments)):
        return server.given(configuration.disk.name(configuration.locate(script.name, path_of_script)))
    return f"a file `{client}` in the directory of `client-config-dir`, an option that {server.file} lacks"


def _script(arguments: Sequence[str]) -> str:
    try:
        return words(arguments[0])[0]
    except (ValueError, IndexError, Unreadable):
        return ""
