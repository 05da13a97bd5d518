"""Pair the processes of the user's into tunnels, by what each connects to and on what the others listen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface

from lab.core.prefixes import Address, Family
from lab.own.draft import Draft
from lab.own.names import Names
from lab.own.openvpn import Device, Remote, ipv4_of, ipv6_of, listens, local_port, remotes, transport_of
from lab.own.rulesets import Forwards, port_forwards
from lab.topology import EndAddresses, Topology, Tunnel
from lab.topology.own import Remark
from lab.topology.segments import endpoints_of, neighbors_of
from lab.tunnel.own import PEERS, SERVER


@dataclass(frozen=True)
class Pair:
    """Two processes that are the ends of a tunnel."""

    server: Draft
    client: Draft
    remote: Remote
    at: Address | None
    """The address to which the client connects, the server's or that of a NAT router; None if it is not known."""


@dataclass
class Pairs:
    """The pairs of a topology, and what the lab cannot know about them."""

    found: list[Pair] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def other_ends(self, draft: Draft) -> list[Draft]:
        """Return the other ends of a process's tunnels."""
        pairs = [(pair.server, pair.client) for pair in self.found]
        return [b if a is draft else a for a, b in pairs if draft in (a, b)]


def pair(topology: Topology, drafts: Sequence[Draft]) -> Pairs:
    """Pair each client with its server, even one that does not pull, and each peer with the other one."""
    pairs = Pairs()
    for draft in sorted(drafts, key=lambda d: listens(d.configuration)):
        if draft.role == "server" or (draft.role == "peer" and pairs.other_ends(draft)):
            continue
        candidates = [
            other
            for other in drafts
            if other.node != draft.node
            and _fit(draft, other)
            and not (other.role == "peer" and pairs.other_ends(other))
        ]
        _pair_one(topology, draft, candidates, pairs)
    return pairs


def _fit(one: Draft, other: Draft) -> bool:
    """Return True if two processes can be the ends of a tunnel, by their roles and kinds of device."""
    if one.configuration.device != other.configuration.device:
        return False
    if one.role == "client":
        return other.role == "server"
    if other.role == "server":  # it does not pull: TLS comes up, and no data passes
        return one.configuration.has("tls-client")
    return other.role == "peer" and one.configuration.has("secret") == other.configuration.has("secret")


def _pair_one(topology: Topology, draft: Draft, candidates: Sequence[Draft], pairs: Pairs) -> None:
    names = Names(topology, draft.node)
    holders, forwards = _holders(topology), port_forwards(topology)
    paired: Draft | None = None
    for remote in remotes(draft.configuration):
        addresses = names.addresses(remote.host)
        found, at, doubt = _other_end(draft, remote, addresses, candidates, holders, forwards)
        if found is None:
            _remark(pairs, draft, remote, doubt)
        elif paired is None:
            paired = found
            server, client = _ordered(draft, found)
            pairs.found.append(Pair(server, client, remote, at))
            if doubt:
                _remark(pairs, draft, remote, doubt)
        elif found is not paired:
            what = f"it may also lead to {found.name}; the lab counts the tunnel to {paired.name} only"
            _remark(pairs, draft, remote, what)


def _remark(pairs: Pairs, draft: Draft, remote: Remote, what: str) -> None:
    place = str(remote.directive.spot)
    pairs.remarks.append(Remark(kind="unknown", node=draft.node, place=place, what=f"remote {remote.host}: {what}"))


def _other_end(
    draft: Draft,
    remote: Remote,
    addresses: Sequence[Address],
    candidates: Sequence[Draft],
    holders: Mapping[Address, list[str]],
    forwards: Forwards,
) -> tuple[Draft | None, Address | None, str]:
    """Return the process to which a `remote` leads, its address there, and what is not certain about it."""
    listening = [other for other in candidates if _takes(other, remote, draft)]
    for address in addresses:
        nodes = holders.get(address, [])
        there = _closest(draft, [o for o in listening if o.node in nodes and _is_at(o, address)])
        if len(there) == 1:
            return there[0], address, ""
        if len(there) > 1:
            return None, None, f"several processes could be the other end: {_names(there)}"
        if (behind := _behind(draft, remote, address, candidates, holders, forwards)) is not None:
            return behind, address, ""
    anywhere = _closest(draft, listening)
    where = f"{remote.transport} port {remote.port}"
    if not addresses:
        why = "the lab does not know its address before it runs"
    elif not any(address in holders for address in addresses):
        why = "no link of the lab has this address"
    else:
        node = next(holders[a][0] for a in addresses if a in holders)
        why = f"the node {node} has this address, and no process of it has {where}"
    if len(anywhere) == 1:
        return anywhere[0], None, f"{why}: taken for {anywhere[0].name}, the only one that has {where}"
    if len(anywhere) > 1:
        return None, None, f"{why}, and several processes have {where}: {_names(anywhere)}"
    return None, None, f"{why}: no other end in this lab"


def _behind(
    draft: Draft,
    remote: Remote,
    address: Address,
    candidates: Sequence[Draft],
    holders: Mapping[Address, list[str]],
    forwards: Forwards,
) -> Draft | None:
    """Return the process to which the node with an address forwards the port of a `remote`; None if it does not."""
    for node in holders.get(address, ()):
        found = forwards.follow(node, address, remote.transport, remote.port)
        if found is None:
            continue
        inner, port = found
        there = [
            other
            for other in candidates
            if other.node in holders.get(inner, ())
            and (transport_of(other.configuration), local_port(other.configuration)) == (remote.transport, port)
            and _is_at(other, inner)
        ]
        if len(closest := _closest(draft, there)) == 1:
            return closest[0]
    return None


def _takes(other: Draft, remote: Remote, draft: Draft) -> bool:
    """Return True if a process has the port and protocol of a `remote`; a peer also if it does not only connect."""
    if other.role == "peer" and other.configuration.has("nobind") and not listens(other.configuration):
        return False
    return (transport_of(other.configuration), local_port(other.configuration)) == (remote.transport, remote.port)


def _is_at(draft: Draft, address: Address) -> bool:
    local = draft.configuration.last("local")
    given = local.argument(0) if local else None
    return given is None or given == str(address)


def _closest(draft: Draft, others: list[Draft]) -> list[Draft]:
    """Return those of several peers whose `ifconfig` is the mirror image, if there are some."""
    here = draft.configuration.last("ifconfig")
    if len(others) < 2 or here is None:
        return others
    mirrored = [
        other
        for other in others
        if (there := other.configuration.last("ifconfig")) and there.arguments[:2] == here.arguments[1::-1]
    ]
    return mirrored or others


def _ordered(one: Draft, other: Draft) -> tuple[Draft, Draft]:
    """Return server and client: of two peers that connect to each other, the TLS server is the server."""
    if other.role == "server" or listens(other.configuration) != listens(one.configuration):
        return (other, one) if listens(other.configuration) else (one, other)
    if one.configuration.has("tls-server") and not other.configuration.has("tls-server"):
        return one, other
    if other.configuration.has("tls-server") and not one.configuration.has("tls-server"):
        return other, one
    return (one, other) if one.at.place <= other.at.place else (other, one)


def _names(drafts: Sequence[Draft]) -> str:
    return ", ".join(draft.name for draft in drafts)


def _holders(topology: Topology) -> dict[Address, list[str]]:
    """Return the nodes that have each address on a link."""
    found: dict[Address, list[str]] = {}
    for link in topology.links:
        for end in link.endpoints:
            for address in end.addresses:
                found.setdefault(address.ip, []).append(end.node)
    return found


def tunnels_of(topology: Topology, pairs: Pairs, devices: Mapping[str, Device]) -> tuple[Tunnel, ...]:
    """Return the tunnels of the pairs, with their addresses as far as the files tell."""
    clients: dict[str, int] = {}
    for each in pairs.found:
        clients[each.server.name] = clients.get(each.server.name, 0) + 1
    return tuple(
        _tunnel(topology, each, name, devices, shared=clients[each.server.name] > 1)
        for each, name in zip(pairs.found, _tunnel_names(topology, pairs.found), strict=True)
    )


def _tunnel_names(topology: Topology, pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield the name of each pair's tunnel: `CLIENT-SERVER` by nodes, or the client process's if that is taken."""
    wanted = [f"{each.client.node}-{each.server.node}" for each in pairs]
    taken = {tunnel.name for tunnel in topology.tunnels}
    for each, name in zip(pairs, wanted, strict=True):
        yield name if wanted.count(name) == 1 and name not in taken else each.client.name


def _tunnel(topology: Topology, each: Pair, name: str, devices: Mapping[str, Device], *, shared: bool) -> Tunnel:
    server, client = each.server, each.client
    device = devices[client.name]
    at = each.at if each.remote.directive in client.configuration.directives else None
    outer = at or _only(topology, server, 4)
    family: Family = "ipv6" if outer and outer.version == 6 else "ipv4"
    near = _outer_of(topology, client, outer)
    certificates = not client.configuration.has("secret")
    options = {} if certificates else {"certificates": False}
    return Tunnel(
        name=name,
        server=server.node,
        client=client.node,
        mode=SERVER if server.role == "server" else PEERS,
        transport=transport_of(server.configuration),
        outer=family,
        port=local_port(server.configuration),
        server_at=_end(server, outer),
        client_at=_end(client, near),
        device=device.name,
        server_device=devices[server.name].name,
        own_server=server.name,
        own_client=client.name,
        shared=server.name if shared else None,
        options={**options, "dev-type": "tap"} if device.tap else options,
    )


def _end(draft: Draft, outer: Address | None) -> EndAddresses:
    return EndAddresses(outer=outer, ipv4=ipv4_of(draft.configuration), ipv6=ipv6_of(draft.configuration))


def _only(topology: Topology, draft: Draft, version: int) -> Address | None:
    """Return the only address of a node of one IP version, or the one that `local` names."""
    local = draft.configuration.last("local")
    addresses = [a.ip for end in endpoints_of(topology, draft.node) for a in end.addresses]
    given = [a for a in addresses if local and str(a) == local.argument(0)]
    found = given or [a for a in addresses if a.version == version]
    return found[0] if len(found) == 1 else None


def _outer_of(topology: Topology, client: Draft, server: Address | None) -> Address | None:
    """Return the client's address towards its server: by `local`, on a shared link, or by its only route there."""
    version = server.version if server else 4
    if only := _only(topology, client, version):
        return only
    if server is None:
        return None
    for here, _ in neighbors_of(topology, client.node):
        for address in here.addresses:
            if server.version == address.version and server in address.network:
                return address.ip
    hops = {route.via for route in topology.nodes[client.node].intent.routes if _leads(str(route.to), server)}
    ways = {
        address.ip
        for here, there in neighbors_of(topology, client.node)
        for address in here.addresses
        if address.version == version and (there.node in hops or hops & {str(a.ip) for a in there.addresses})
    }
    return ways.pop() if len(ways) == 1 else None


def _leads(to: str, server: Address) -> bool:
    return to == "default" or server in ip_interface(to).network
