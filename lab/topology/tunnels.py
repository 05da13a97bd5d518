"""Tunnels: from what the file asks for to tunnels with every default filled in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from itertools import chain, count
from typing import Final

from lab.core.prefixes import FAMILIES, Address, Family, Interface, Prefix
from lab.topology.addresses import Use, objection_to_address, overlap
from lab.topology.intent import TunnelEnds, TunnelIntent
from lab.topology.links import INTERFACES, End, Wire
from lab.topology.mistakes import Findings, did_you_mean, one_of, quote
from lab.topology.model import Tunnel
from lab.topology.names import objection_to_name
from lab.topology.nodes import Draft, below
from lab.topology.paths import arrival, underlay
from lab.topology.source import Tree
from lab.topology.vocabulary import Vocabulary

FIRST_PORT = 1194
"""OpenVPN's registered port; the next tunnels of a server get the next ones."""
LAST_PORT = 65535

POOLS: Final[Mapping[Family, tuple[Prefix, int]]] = {
    "ipv4": (IPv4Network("10.255.0.0/16"), 30),
    "ipv6": (IPv6Network("2001:db8:ff00::/40"), 64),
}
"""Where inner addresses come from that the file does not give, and the length of each tunnel's subnet."""
SHARED_LENGTH: Final[Mapping[Family, int]] = {"ipv4": 24, "ipv6": 64}
"""The length of a subnet that several tunnels share, unless they are more."""


@dataclass
class Request:
    """A tunnel that the file asks for, between two nodes that exist."""

    client: str
    server: str
    intent: TunnelIntent
    tree: Tree
    name: str = ""
    port: int = 0
    device: str = ""
    server_device: str = ""
    outer: Address | None = None
    client_outer: Address | None = None
    inner: dict[Family, TunnelEnds] = field(default_factory=dict)
    share: "Share | None" = None
    """The server's process, where it can serve several tunnels."""

    @property
    def leads(self) -> bool:
        """Whether this tunnel is the first, or the only one, of its server's process."""
        return self.share is None or self.share.members[0] is self

    @property
    def inner_addresses(self) -> list[tuple[str, Address]]:
        """The addresses that its two nodes have inside, as far as they are settled."""
        return [
            (node, address.ip)
            for ends in self.inner.values()
            for node, address in ((self.client, ends.local), (self.server, ends.peer))
        ]


@dataclass
class Share:
    """A server's process that serves several tunnels, in the file's order."""

    name: str
    members: list[Request] = field(default_factory=list)


def requests(drafts: Mapping[str, Draft], vocabulary: Vocabulary, findings: Findings) -> list[Request]:
    """Return the tunnels of all nodes in the file's order, but for those to nowhere, which are noted."""
    found = []
    for draft in drafts.values():
        for intent, tree in draft.tunnels:
            _check_mode(intent, tree, vocabulary, findings)
            to = below(tree, ("to",))
            if intent.to not in drafts:
                findings.add(to, f"there is no node {quote(intent.to)}", did_you_mean(intent.to, drafts))
            elif intent.to == draft.name:
                findings.add(to, f"{quote(intent.to)} is the node itself")
            elif drafts[intent.to].node.kind == "bridge":
                findings.add(to, f"{quote(intent.to)} is a bridge and runs no OpenVPN")
            else:
                found.append(Request(draft.name, intent.to, intent, tree))
    return found


def _check_mode(intent: TunnelIntent, tree: Tree, vocabulary: Vocabulary, findings: Findings) -> None:
    check = vocabulary.modes.get(intent.mode)
    if check is None:
        hint = did_you_mean(intent.mode, vocabulary.modes) or f"the modes are {one_of(vocabulary.modes)}"
        findings.add(below(tree, ("mode",)), f"unknown tunnel mode {quote(intent.mode)}", hint)
        return
    for objection in check(intent):
        findings.add(below(tree, objection.path), objection.what, objection.hint)


def settle(
    wanted: Sequence[Request],
    wires: Sequence[Wire],
    kinds: Mapping[str, str],
    vocabulary: Vocabulary,
    findings: Findings,
) -> list[Use]:
    """Give each tunnel all but missing inner addresses; return the inner addresses that the file gives."""
    _name(wanted, findings)
    _share(wanted, vocabulary, findings)
    _number_ports(wanted, findings)
    _name_devices(wanted, wires, vocabulary, findings)
    uses: list[Use] = []
    ground = underlay(wires)
    for request in wanted:
        _find_path(request, ground, kinds, findings)
        uses += _declared(request, findings)
    return uses


def _name(wanted: Sequence[Request], findings: Findings) -> None:
    taken: dict[str, Request] = {}
    for request in wanted:
        name = request.intent.name
        if name is None:
            continue
        at = below(request.tree, ("name",))
        if objection := objection_to_name(name):
            findings.add(at, f"{quote(name)} cannot name a tunnel", objection)
        elif name in taken:
            line = taken[name].tree.place.line
            findings.add(at, f"the tunnel in line {line} is named {quote(name)} already")
        taken.setdefault(name, request)
        request.name = name
    for request in wanted:
        base, number = f"{request.client}-{request.server}", 1
        while not request.name:
            name = base if number == 1 else f"{base}-{number}"
            if name not in taken:
                taken[name] = request
                request.name = name
            number += 1


def _share(wanted: Sequence[Request], vocabulary: Vocabulary, findings: Findings) -> None:
    """Let tunnels to the same node share a server process where their mode can; a port of its own keeps one apart."""
    shares: dict[tuple[object, ...], Share] = {}
    names = {request.name for request in wanted}
    for request in wanted:
        intent = request.intent
        if intent.mode not in vocabulary.many_clients:
            continue
        key = (request.server, intent.mode, intent.transport, intent.outer, intent.port)
        if key not in shares:
            base = f"{request.server}-{intent.mode}"
            name = next(n for n in chain([base], (f"{base}-{i}" for i in count(2))) if n not in names)
            names.add(name)
            shares[key] = Share(name)
        share = request.share = shares[key]
        share.members.append(request)
        first = share.members[0]
        others = f"see line {first.tree.place.line}"
        if any(member.client == request.client for member in share.members[:-1]):
            what = f"{quote(request.client)} is a client of that server process already, {others}"
            findings.add(request.tree, what, "give one of the two tunnels another 'port'")
        if intent.options != first.intent.options:
            what = f"the tunnels of one server process have the same options, {others}"
            findings.add(below(request.tree, ("options",)), what, "or give one of them another 'port'")
        room = vocabulary.room(intent)
        if room is not None and len(share.members) > room:
            what = f"that server process has room for {room}, and this is one more"
            findings.add(below(request.tree, ("options", "max-clients")), what, "or give it another 'port'")


def _number_ports(wanted: Sequence[Request], findings: Findings) -> None:
    taken: dict[tuple[str, str, int], Request] = {}
    for request in wanted:
        port = request.intent.port
        if port is None:
            continue
        request.port = port
        first = taken.setdefault((request.server, request.intent.transport, port), request)
        if first is not request and (request.share is None or first.share is not request.share):
            findings.add(
                below(request.tree, ("port",)),
                f"{request.intent.transport} port {port} of {quote(request.server)} is that of the tunnel"
                f" {quote(first.name)} already, see line {first.tree.place.line}",
            )
    for request in wanted:
        key = (request.server, request.intent.transport)
        port = FIRST_PORT
        if request.share is not None and not request.leads:
            request.port = request.share.members[0].port
        while not request.port and port <= LAST_PORT:
            if (*key, port) not in taken:
                taken[*key, port] = request
                request.port = port
            port += 1


def _name_devices(wanted: Sequence[Request], wires: Sequence[Wire], vocabulary: Vocabulary, findings: Findings) -> None:
    counts: dict[tuple[str, str], int] = {}

    def next_device(node: str, mode: str) -> str:
        prefix = vocabulary.devices.get(mode, "tun")
        number = counts.get((node, prefix), 0)
        counts[node, prefix] = number + 1
        return f"{prefix}{number}"

    holders: dict[tuple[str, str], str] = {}
    for request in wanted:
        request.device = next_device(request.client, request.intent.mode)
        if request.share is not None and not request.leads:
            request.server_device = request.share.members[0].server_device
        else:
            request.server_device = next_device(request.server, request.intent.mode)
        holders[request.client, request.device] = request.name
        holders[request.server, request.server_device] = request.name
    for wire in wires:
        for end in wire.ends:
            if tunnel := holders.get((end.node, end.interface)):
                what = f"the interface {quote(str(end))} is the device of the tunnel {quote(tunnel)}"
                findings.add(end.tree, what)


def _find_path(request: Request, wires: Sequence[Wire], kinds: Mapping[str, str], findings: Findings) -> None:
    family, via = request.intent.outer, request.intent.via
    if via is not None and not _are_linked(wires, request.client, via):
        at = below(request.tree, ("via",))
        hint = did_you_mean(via, kinds) if via not in kinds else None
        findings.add(at, f"no link leads from {quote(request.client)} to {quote(via)}", hint)
        return
    end = arrival(wires, kinds, request.client, request.server, family, via)
    if end is not None:
        address = end.address(family)
        request.outer = address.ip if address else None
        back = arrival(_past(wires, request.client, via), kinds, request.server, request.client, family)
        dialled = back.address(family) if back else None
        request.client_outer = dialled.ip if dialled else None
        return
    between = f"no path of links leads from {quote(request.client)} to {quote(request.server)}"
    between += f" via {quote(via)}" if via else ""
    if arrival(wires, kinds, request.client, request.server, None, via) is not None:
        without = [name for name in (request.client, request.server) if not _has(wires, name, family)]
        if without:
            names = " or ".join(map(quote, without))
            between += f" over {family}: no link of {names} has an {family} address"
        else:
            between += f" that has {family} addresses at both ends"
    findings.add(below(request.tree, ("to",)), f"a tunnel without a path: {between}")


def _past(wires: Sequence[Wire], node: str, via: str | None) -> list[Wire]:
    """The wires without those of a node that lead elsewhere than to its neighbour `via`, where that is said."""
    return [wire for wire in wires if via is None or {end.node for end in wire.ends} & {node, via} != {node}]


def _are_linked(wires: Sequence[Wire], one: str, other: str) -> bool:
    return any({end.node for end in wire.ends} == {one, other} for wire in wires)


def _has(wires: Sequence[Wire], node: str, family: Family) -> bool:
    ends: list[End] = [end for wire in wires if len(wire.ends) == 2 for end in wire.ends]
    return any(end.node == node and family in end.addresses for end in ends)


# --- inner addresses ---------------------------------------------------------------------------------------


def _declared(request: Request, findings: Findings) -> list[Use]:
    """Take over the inner addresses that the file gives, and return those that are right."""
    uses = []
    given: dict[Family, TunnelEnds | None] = {"ipv4": request.intent.ipv4, "ipv6": request.intent.ipv6}
    for family, ends in given.items():
        if ends is None:
            continue
        request.inner[family] = ends
        trees = {key: below(request.tree, (family, key)) for key in ("local", "peer")}
        sides = {"local": ends.local, "peer": ends.peer}
        good = True
        for key, side in sides.items():
            if not isinstance(side, INTERFACES[family]):
                findings.add(trees[key], f"{side} is no {family} address")
                good = False
            elif objection := objection_to_address(side):
                findings.add(trees[key], objection)
                good = False
        if not good:
            continue
        if ends.local.network != ends.peer.network:
            what = f"{ends.local} and {ends.peer} are not in the same subnet"
            findings.add(trees["peer"], what, "a tunnel's two ends share one")
            continue
        holder = f"the tunnel {quote(request.name)}"
        domain = f"tunnel {request.client} {request.tree.place} {request.name}"
        if request.share is not None:
            domain = f"server {request.server} {request.share.name}"
            first = _given_peer(request.share, family)
            if ends.peer != first:
                findings.add(
                    trees["peer"], f"the server's address is {first} already for another tunnel of its process"
                )
                continue
            if any(family in m.inner for m in request.share.members[: request.share.members.index(request)]):
                del sides["peer"]  # it is the server's for all of them
        uses += [Use(side, holder, domain, trees[key]) for key, side in sides.items()]
    return uses


def _given_peer(share: Share, family: Family) -> Interface | None:
    """The server's address that the file gives first for a shared process."""
    given = (m.intent.ipv4 if family == "ipv4" else m.intent.ipv6 for m in share.members)
    return next((ends.peer for ends in given if ends is not None), None)


def allot(wanted: Sequence[Request], used: Sequence[Prefix], routed: Sequence[Prefix], findings: Findings) -> None:
    """Give inner addresses to the tunnels that have none, apart from everything that the file declares.

    `used` are the subnets of links and tunnels, `routed` what routers originate and static routes lead to.
    """
    for family in FAMILIES:
        shared = _allot_shared(family, wanted, used, routed, findings)
        free = _free_subnets(family, [*used, *shared], routed, POOLS[family][1])
        for request in wanted:
            if family in request.inner or request.share is not None:
                continue
            subnet = next(free, None)
            if subnet is None:
                pool, _ = POOLS[family]
                what = f"no subnet of {pool} is left for the tunnel"
                findings.add(request.tree, what, f"give it '{family}'")
                continue
            server, client = _first_two(subnet)
            request.inner[family] = TunnelEnds(local=client, peer=server)


def _allot_shared(
    family: Family, wanted: Sequence[Request], used: Sequence[Prefix], routed: Sequence[Prefix], findings: Findings
) -> list[Prefix]:
    """Give the tunnels of shared server processes addresses of one subnet each; return the subnets taken."""
    taken: list[Prefix] = []
    for share in (r.share for r in wanted if r.share is not None and r.leads):
        server = _given_peer(share, family)
        if server is None:
            pool, length = POOLS[family]
            needed = (len(share.members) + 2).bit_length()  # its own, and the first and the last that nobody has
            length = min(length, SHARED_LENGTH[family], pool.max_prefixlen - needed)
            subnet = next(_free_subnets(family, [*used, *taken], routed, length), None)
            if subnet is None:
                what = f"no subnet of {pool} is left for the tunnels of one server process"
                findings.add(share.members[0].tree, what, f"give them '{family}'")
                continue
            taken.append(subnet)
            server = _host(subnet, 1)
        busy = {server, *(m.inner[family].local for m in share.members if family in m.inner)}
        free = (host for n in count(1) if (host := _host(server.network, n)) not in busy)
        last = server.network.num_addresses - 2
        for member in share.members:
            if family in member.inner:
                continue
            client = next(free)
            if int(client.ip) - int(server.network.network_address) > last:
                findings.add(member.tree, f"no address of {server.network} is left for the tunnel")
                break
            member.inner[family] = TunnelEnds(local=client, peer=server)
    return taken


def _free_subnets(family: Family, used: Sequence[Prefix], routed: Sequence[Prefix], length: int) -> Iterator[Prefix]:
    pool, _ = POOLS[family]
    if any(overlap(prefix, pool) and prefix.prefixlen <= pool.prefixlen for prefix in used):
        return
    # A route to all of 10.0.0.0/8 claims none of it: a tunnel's own subnet is the longer match.
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
            # Behind the declared prefix at once: it may cover millions of ours.
            number = max(number + 1, (int(around.broadcast_address) + 1 - base) // width)


def _first_two(subnet: Prefix) -> tuple[Interface, Interface]:
    return _host(subnet, 1), _host(subnet, 2)


def _host(subnet: Prefix, number: int) -> Interface:
    """An address of a subnet, by its number in there; one past its end is of the next subnet."""
    address = int(subnet.network_address) + number
    if subnet.version == 4:
        return IPv4Interface((address, subnet.prefixlen))
    return IPv6Interface((address, subnet.prefixlen))


def finished(wanted: Sequence[Request]) -> tuple[Tunnel, ...]:
    """Return the tunnels; to be called when nothing is wrong with them."""
    return tuple(
        Tunnel.model_validate(
            {
                "name": request.name,
                "server": request.server,
                "client": request.client,
                "mode": request.intent.mode,
                "transport": request.intent.transport,
                "outer": request.intent.outer,
                "port": request.port,
                "server_outer": request.outer,
                "client_outer": request.client_outer,
                "server_ipv4": request.inner["ipv4"].peer,
                "client_ipv4": request.inner["ipv4"].local,
                "server_ipv6": request.inner["ipv6"].peer,
                "client_ipv6": request.inner["ipv6"].local,
                "device": request.device,
                "server_device": request.server_device,
                "options": request.intent.options,
                "via": request.intent.via,
                "preference": request.intent.preference,
                "profile": request.intent.profile,
                "shared": request.share.name if request.share else None,
            }
        )
        for request in wanted
    )
