"""The inner addresses that a server's pool gives to its clients, in the order in which OpenVPN hands them out."""

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network

from lab.configs.openvpn.configuration import Configuration
from lab.own.openvpn import ipv4_of, ipv6_of
from lab.own.reading import read_drafts
from lab.topology import Topology, Tunnel
from lab.topology.mistakes import Findings

_FIRST_IPV6 = 0x1000
"""The host part of the first address of `server-ipv6`."""


def with_pool_addresses(topology: Topology) -> tuple[Tunnel, ...]:
    """Return the tunnels with the addresses that pools give to clients whose files set none, the first tunnel first.

    An address remains unknown if the server's file has no pool of its family.
    """
    drafts = {draft.name: draft.configuration for draft in read_drafts(topology, Findings(topology.file))}
    return tuple(_completed(topology.tunnels, drafts))


def _completed(tunnels: tuple[Tunnel, ...], drafts: dict[str, Configuration]) -> Iterator[Tunnel]:
    clients: Counter[str] = Counter()
    for tunnel in tunnels:
        server = drafts.get(tunnel.own_server or "")
        at = tunnel.client_at
        if server is None or server.role != "server" or (at.ipv4 and at.ipv6):
            yield tunnel
            continue
        number = clients[tunnel.own_server or ""]
        clients[tunnel.own_server or ""] += 1
        update = {"ipv4": at.ipv4 or pool_ipv4(server, number), "ipv6": at.ipv6 or pool_ipv6(server, number)}
        yield tunnel.model_copy(update={"client_at": at.model_copy(update=update)})


def pool_ipv4(server: Configuration, number: int) -> IPv4Interface | None:
    """Return the IPv4 address of the client that connects as the `number`th, from 0, with the pool's prefix length."""
    mine = ipv4_of(server)
    if mine is None:
        return None
    topology = server.last("topology")
    net30 = topology is None or topology.argument(0) == "net30"
    given = server.last("ifconfig-pool")
    try:
        first = IPv4Address(given.argument(0) or "") if given else mine.ip + (5 if net30 else 1)
    except ValueError:
        return None
    address = first + number * (4 if net30 else 1)
    if given and net30:
        address += 2
    return IPv4Interface(f"{address}/{mine.network.prefixlen}") if address in mine.network else None


def pool_ipv6(server: Configuration, number: int) -> IPv6Interface | None:
    """Return the IPv6 address of the client that connects as the `number`th, from 0."""
    mine, given = ipv6_of(server), server.last("ifconfig-ipv6-pool")
    if mine is None:
        return None
    try:
        network = IPv6Network(given.argument(0) or "", strict=False) if given else mine.network
        first = IPv6Address((given.argument(0) or "").partition("/")[0]) if given else network[0] + _FIRST_IPV6
    except ValueError:
        return None
    address = first + number
    return IPv6Interface(f"{address}/{mine.network.prefixlen}") if address in mine.network else None
