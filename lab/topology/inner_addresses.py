"""The addresses inside tunnels: check those that the file sets, and assign the others from pools."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from itertools import count
from typing import Final

from lab.core.prefixes import FAMILIES, Family, Interface, Prefix
from lab.topology.addresses import Use, objection_to_address, overlap
from lab.topology.intent import TunnelEnds
from lab.topology.links import INTERFACES
from lab.topology.mistakes import Findings, quote
from lab.topology.nodes import below
from lab.topology.tunnels import DraftTunnel, ServerProcess

POOLS: Final[Mapping[Family, tuple[Prefix, int]]] = {
    "ipv4": (IPv4Network("10.255.0.0/16"), 30),
    "ipv6": (IPv6Network("2001:db8:ff00::/40"), 64),
}
"""The pools of inner addresses, with the length of each tunnel's subnet."""
SHARED_LENGTH: Final[Mapping[Family, int]] = {"ipv4": 24, "ipv6": 64}
"""The length of the subnet of a server process with several tunnels; shorter if there are too many tunnels."""


def take_declared(tunnel: DraftTunnel, findings: Findings) -> list[Use]:
    """Set the inner addresses that the file gives; return the valid ones."""
    uses = []
    given: dict[Family, TunnelEnds | None] = {"ipv4": tunnel.intent.ipv4, "ipv6": tunnel.intent.ipv6}
    for family, ends in given.items():
        if ends is None:
            continue
        tunnel.inner[family] = ends
        trees = {key: below(tunnel.tree, (family, key)) for key in ("local", "peer")}
        sides = {"local": ends.local, "peer": ends.peer}
        valid = True
        for key, side in sides.items():
            if not isinstance(side, INTERFACES[family]):
                findings.add(trees[key], f"{side} is not an {family} address")
                valid = False
            elif objection := objection_to_address(side):
                findings.add(trees[key], objection)
                valid = False
        if not valid:
            continue
        if ends.local.network != ends.peer.network:
            what = f"{ends.local} and {ends.peer} are not in the same subnet"
            findings.add(trees["peer"], what, "both ends of a tunnel need addresses of one subnet")
            continue
        holder = f"the tunnel {quote(tunnel.name)}"
        domain = f"tunnel {tunnel.client} {tunnel.tree.place} {tunnel.name}"
        if tunnel.process is not None:
            domain = f"server {tunnel.server} {tunnel.process.name}"
            first = _declared_peer(tunnel.process, family)
            if ends.peer != first:
                what = f"another tunnel of this server process already sets the server's address to {first}"
                findings.add(trees["peer"], what)
                continue
            tunnels = tunnel.process.tunnels
            if any(family in other.inner for other in tunnels[: tunnels.index(tunnel)]):
                del sides["peer"]  # one address of the server for all of them
        uses += [Use(side, holder, domain, trees[key]) for key, side in sides.items()]
    return uses


def _declared_peer(process: ServerProcess, family: Family) -> Interface | None:
    """Return the first address that the file gives to the server of a shared process."""
    given = (t.intent.ipv4 if family == "ipv4" else t.intent.ipv6 for t in process.tunnels)
    return next((ends.peer for ends in given if ends is not None), None)


def assign(
    tunnels: Sequence[DraftTunnel], used: Sequence[Prefix], routed: Sequence[Prefix], findings: Findings
) -> None:
    """Assign inner addresses to the tunnels without them, from subnets that overlap no other prefix in the file.

    `used` are the subnets of links and tunnels, `routed` the prefixes of routers and static routes.
    """
    for family in FAMILIES:
        shared = _assign_shared(family, tunnels, used, routed, findings)
        free = _free_subnets(family, [*used, *shared], routed, POOLS[family][1])
        for tunnel in tunnels:
            if family in tunnel.inner or tunnel.process is not None:
                continue
            subnet = next(free, None)
            if subnet is None:
                pool, _ = POOLS[family]
                findings.add(tunnel.tree, f"no free subnet in {pool} for the tunnel", f"set its '{family}'")
                continue
            tunnel.inner[family] = TunnelEnds(local=_host(subnet, 2), peer=_host(subnet, 1))


def _assign_shared(
    family: Family, tunnels: Sequence[DraftTunnel], used: Sequence[Prefix], routed: Sequence[Prefix], findings: Findings
) -> list[Prefix]:
    """Assign one subnet to the tunnels of each shared server process; return the subnets."""
    taken: list[Prefix] = []
    for process in (t.process for t in tunnels if t.process is not None and t.is_first):
        server = _declared_peer(process, family)
        if server is None:
            pool, length = POOLS[family]
            needed = (len(process.tunnels) + 2).bit_length()  # the server's, the network's and the broadcast address
            length = min(length, SHARED_LENGTH[family], pool.max_prefixlen - needed)
            subnet = next(_free_subnets(family, [*used, *taken], routed, length), None)
            if subnet is None:
                what = f"no free subnet in {pool} for the tunnels of one server process"
                findings.add(process.tunnels[0].tree, what, f"set their '{family}'")
                continue
            taken.append(subnet)
            server = _host(subnet, 1)
        busy = {server, *(t.inner[family].local for t in process.tunnels if family in t.inner)}
        free = (host for n in count(1) if (host := _host(server.network, n)) not in busy)
        last = server.network.num_addresses - 2
        for tunnel in process.tunnels:
            if family in tunnel.inner:
                continue
            client = next(free)
            if int(client.ip) - int(server.network.network_address) > last:
                findings.add(tunnel.tree, f"no free address in {server.network} for the tunnel")
                break
            tunnel.inner[family] = TunnelEnds(local=client, peer=server)
    return taken


def _free_subnets(family: Family, used: Sequence[Prefix], routed: Sequence[Prefix], length: int) -> Iterator[Prefix]:
    """Yield the subnets of the pool that overlap no prefix in use."""
    pool, _ = POOLS[family]
    if any(overlap(prefix, pool) and prefix.prefixlen <= pool.prefixlen for prefix in used):
        return
    # A shorter route, as to 10.0.0.0/8, conflicts with nothing: the tunnel's own subnet is the longer match.
    near = [p for p in (*used, *routed) if overlap(p, pool) and p.prefixlen > pool.prefixlen]
    number, subnets = 0, 1 << (length - pool.prefixlen)
    base, width = int(pool.network_address), 1 << (pool.max_prefixlen - length)
    while number < subnets:
        subnet = type(pool)((base + number * width, length))
        around = next((prefix for prefix in near if overlap(prefix, subnet)), None)
        if around is None:
            yield subnet
            number += 1
        else:
            # Skip the whole prefix at once: it may cover millions of subnets.
            number = max(number + 1, (int(around.broadcast_address) + 1 - base) // width)


def _host(subnet: Prefix, number: int) -> Interface:
    """Return an address of a subnet by its number; a number past the end gives an address of the next subnet."""
    address = int(subnet.network_address) + number
    if subnet.version == 4:
        return IPv4Interface((address, subnet.prefixlen))
    return IPv6Interface((address, subnet.prefixlen))
