"""Tunnels: from the file's declarations to tunnels with every default filled in, except for inner addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from lab.core.prefixes import Address, Family
from lab.topology.extra_places import extra_places
from lab.topology.intent import TunnelEnds, TunnelIntent
from lab.topology.links import DraftEnd, DraftLink
from lab.topology.mistakes import Findings, did_you_mean, one_of, quote
from lab.topology.model import Tunnel
from lab.topology.names import objection_to_name
from lab.topology.nodes import DraftNode, below
from lab.topology.paths import path_end, underlay
from lab.topology.source import Table, Tree
from lab.topology.vocabulary import Vocabulary

FIRST_PORT = 1194
"""OpenVPN's registered port; further tunnels of a server get the following ports."""
LAST_PORT = 65535


@dataclass
class DraftTunnel:
    """A tunnel between two nodes that exist, as declared, and resolved as far as possible."""

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
    process: "ServerProcess | None" = None
    """The server process, if its mode can serve several tunnels."""

    @property
    def is_first(self) -> bool:
        """True if it is the first, or the only, tunnel of its server process."""
        return self.process is None or self.process.tunnels[0] is self

    @property
    def inner_addresses(self) -> list[tuple[str, Address]]:
        """The inner addresses of its two nodes that are known so far."""
        return [
            (node, address.ip)
            for ends in self.inner.values()
            for node, address in ((self.client, ends.local), (self.server, ends.peer))
        ]


@dataclass
class ServerProcess:
    """A server process that serves several tunnels, in the file's order."""

    name: str
    tunnels: list[DraftTunnel] = field(default_factory=list)


def declared_tunnels(nodes: Mapping[str, DraftNode], vocabulary: Vocabulary, findings: Findings) -> list[DraftTunnel]:
    """Return the tunnels of all nodes in the file's order, without those whose server is wrong."""
    found = []
    for node in nodes.values():
        for intent, tree in node.tunnels:
            _check_mode(intent, tree, vocabulary, findings)
            to = below(tree, ("to",))
            if intent.to not in nodes:
                findings.add(to, f"there is no node {quote(intent.to)}", did_you_mean(intent.to, nodes))
            elif intent.to == node.name:
                findings.add(to, f"{quote(intent.to)} is the node itself")
            elif nodes[intent.to].node.is_bridge:
                findings.add(to, f"{quote(intent.to)} is a bridge and runs no OpenVPN")
            else:
                found.append(DraftTunnel(node.name, intent.to, intent, tree))
    return found


def _check_mode(intent: TunnelIntent, tree: Tree, vocabulary: Vocabulary, findings: Findings) -> None:
    check = vocabulary.modes.get(intent.mode)
    if check is None:
        hint = did_you_mean(intent.mode, vocabulary.modes) or f"the modes are {one_of(vocabulary.modes)}"
        findings.add(below(tree, ("mode",)), f"unknown tunnel mode {quote(intent.mode)}", hint)
        return
    for objection in check(intent):
        findings.add(below(tree, objection.path), objection.what, objection.hint)


def resolve(
    tunnels: Sequence[DraftTunnel],
    links: Sequence[DraftLink],
    kinds: Mapping[str, str],
    vocabulary: Vocabulary,
    findings: Findings,
) -> None:
    """Resolve names, server processes, ports, devices and outer addresses."""
    _assign_names(tunnels, findings)
    _assign_processes(tunnels, vocabulary, findings)
    _assign_ports(tunnels, findings)
    _name_devices(tunnels, links, vocabulary, findings)
    usable_links = underlay(links)
    for tunnel in tunnels:
        _find_path(tunnel, usable_links, kinds, findings)


def _assign_names(tunnels: Sequence[DraftTunnel], findings: Findings) -> None:
    taken: dict[str, DraftTunnel] = {}
    for tunnel in tunnels:
        name = tunnel.intent.name
        if name is None:
            continue
        at = below(tunnel.tree, ("name",))
        if objection := objection_to_name(name):
            findings.add(at, f"invalid tunnel name {quote(name)}", objection)
        elif name in taken:
            findings.add(at, f"duplicate tunnel name {quote(name)}, see line {taken[name].tree.place.line}")
        taken.setdefault(name, tunnel)
        tunnel.name = name
    for tunnel in tunnels:
        base, number = f"{tunnel.client}-{tunnel.server}", 1
        while not tunnel.name:
            name = base if number == 1 else f"{base}-{number}"
            if name not in taken:
                taken[name] = tunnel
                tunnel.name = name
            number += 1


def _assign_processes(tunnels: Sequence[DraftTunnel], vocabulary: Vocabulary, findings: Findings) -> None:
    """Let tunnels to the same node share a server process if their mode can; one with another `port` gets its own."""
    processes: dict[tuple[object, ...], ServerProcess] = {}
    names = {tunnel.name for tunnel in tunnels}
    for tunnel in tunnels:
        intent = tunnel.intent
        if intent.mode not in vocabulary.many_clients:
            continue
        key = (tunnel.server, intent.mode, intent.transport, intent.outer, intent.port)
        if key not in processes:
            base = f"{tunnel.server}-{intent.mode}"
            name = next(n for n in chain([base], (f"{base}-{i}" for i in count(2))) if n not in names)
            names.add(name)
            processes[key] = ServerProcess(name)
        process = tunnel.process = processes[key]
        process.tunnels.append(tunnel)
        first = process.tunnels[0]
        see = f"see line {first.tree.place.line}"
        if any(other.client == tunnel.client for other in process.tunnels[:-1]):
            what = f"{quote(tunnel.client)} is already a client of this server process, {see}"
            findings.add(tunnel.tree, what, "give one of the two tunnels another 'port'")
        if _server_options(intent) != _server_options(first.intent):
            what = f"tunnels of one server process must have the same options, {see}"
            findings.add(below(tunnel.tree, ("options",)), what, "make them equal, or give one tunnel another 'port'")
        most = vocabulary.max_clients(intent)
        if most is not None and len(process.tunnels) > most:
            what = f"this is one client more than the {most} that the server process accepts"
            hint = "raise 'max-clients', or give the tunnel another 'port'"
            findings.add(below(tunnel.tree, ("options", "max-clients")), what, hint)


def _server_options(intent: TunnelIntent) -> Mapping[str, Any]:
    """Return the options without the extra lines of the client's process."""
    extra = intent.options.get("extra")
    if not isinstance(extra, Mapping):
        return intent.options
    return {**intent.options, "extra": {key: value for key, value in extra.items() if key != "client"}}


def _extra_at(tunnel: DraftTunnel) -> Mapping[str, tuple[str, ...]]:
    """Return the place of each extra line, by end."""
    options = tunnel.tree.entries.get("options") if isinstance(tunnel.tree, Table) else None
    extra = options.entries.get("extra") if isinstance(options, Table) else None
    entries = extra.entries if isinstance(extra, Table) else {}
    return {end: places for end in ("server", "client") if (places := extra_places(entries.get(end)))}


def _assign_ports(tunnels: Sequence[DraftTunnel], findings: Findings) -> None:
    taken: dict[tuple[str, str, int], DraftTunnel] = {}
    for tunnel in tunnels:
        port = tunnel.intent.port
        if port is None:
            continue
        tunnel.port = port
        first = taken.setdefault((tunnel.server, tunnel.intent.transport, port), tunnel)
        if first is not tunnel and (tunnel.process is None or first.process is not tunnel.process):
            findings.add(
                below(tunnel.tree, ("port",)),
                f"{tunnel.intent.transport} port {port} of {quote(tunnel.server)} is already used by the tunnel"
                f" {quote(first.name)}, see line {first.tree.place.line}",
            )
    for tunnel in tunnels:
        key = (tunnel.server, tunnel.intent.transport)
        port = FIRST_PORT
        if tunnel.process is not None and not tunnel.is_first:
            tunnel.port = tunnel.process.tunnels[0].port
        while not tunnel.port and port <= LAST_PORT:
            if (*key, port) not in taken:
                taken[*key, port] = tunnel
                tunnel.port = port
            port += 1


def _name_devices(
    tunnels: Sequence[DraftTunnel], links: Sequence[DraftLink], vocabulary: Vocabulary, findings: Findings
) -> None:
    counts: dict[tuple[str, str], int] = {}

    def next_device(node: str, mode: str) -> str:
        prefix = vocabulary.devices.get(mode, "tun")
        number = counts.get((node, prefix), 0)
        counts[node, prefix] = number + 1
        return f"{prefix}{number}"

    holders: dict[tuple[str, str], str] = {}
    for tunnel in tunnels:
        tunnel.device = next_device(tunnel.client, tunnel.intent.mode)
        if tunnel.process is not None and not tunnel.is_first:
            tunnel.server_device = tunnel.process.tunnels[0].server_device
        else:
            tunnel.server_device = next_device(tunnel.server, tunnel.intent.mode)
        holders[tunnel.client, tunnel.device] = tunnel.name
        holders[tunnel.server, tunnel.server_device] = tunnel.name
    for link in links:
        for end in link.ends:
            if name := holders.get((end.node, end.interface)):
                findings.add(end.tree, f"the interface {quote(str(end))} is the device of the tunnel {quote(name)}")


def _find_path(tunnel: DraftTunnel, links: Sequence[DraftLink], kinds: Mapping[str, str], findings: Findings) -> None:
    """Set the outer addresses: those at which the shortest path arrives, in both directions."""
    family, via = tunnel.intent.outer, tunnel.intent.via
    if via is not None and not _are_linked(links, tunnel.client, via):
        at = below(tunnel.tree, ("via",))
        hint = did_you_mean(via, kinds) if via not in kinds else None
        findings.add(at, f"no link leads from {quote(tunnel.client)} to {quote(via)}", hint)
        return
    end = path_end(links, kinds, tunnel.client, tunnel.server, family, via)
    if end is not None:
        address = end.address(family)
        tunnel.outer = address.ip if address else None
        reverse_end = path_end(_without_others(links, tunnel.client, via), kinds, tunnel.server, tunnel.client, family)
        client_address = reverse_end.address(family) if reverse_end else None
        tunnel.client_outer = client_address.ip if client_address else None
        return
    what = f"no path of links leads from {quote(tunnel.client)} to {quote(tunnel.server)}"
    what += f" via {quote(via)}" if via else ""
    if path_end(links, kinds, tunnel.client, tunnel.server, None, via) is not None:
        without = [name for name in (tunnel.client, tunnel.server) if not _has_address(links, name, family)]
        if without:
            names = " or ".join(map(quote, without))
            what += f" over {family}: no link of {names} has an {family} address"
        else:
            what += f" that has {family} addresses at both ends"
    findings.add(below(tunnel.tree, ("to",)), what)


def _without_others(links: Sequence[DraftLink], node: str, via: str | None) -> list[DraftLink]:
    """Return the links without those from a node to other neighbours than `via`; all links if that is None."""
    return [link for link in links if via is None or {end.node for end in link.ends} & {node, via} != {node}]


def _are_linked(links: Sequence[DraftLink], one: str, other: str) -> bool:
    return any({end.node for end in link.ends} == {one, other} for link in links)


def _has_address(links: Sequence[DraftLink], node: str, family: Family) -> bool:
    ends: list[DraftEnd] = [end for link in links if len(link.ends) == 2 for end in link.ends]
    return any(end.node == node and family in end.addresses for end in ends)


def to_tunnels(tunnels: Sequence[DraftTunnel]) -> tuple[Tunnel, ...]:
    """Return the tunnels of the model; only for a file without mistakes."""
    return tuple(
        Tunnel.model_validate(
            {
                "name": tunnel.name,
                "server": tunnel.server,
                "client": tunnel.client,
                "mode": tunnel.intent.mode,
                "transport": tunnel.intent.transport,
                "outer": tunnel.intent.outer,
                "port": tunnel.port,
                "server_at": {
                    "outer": tunnel.outer,
                    **{family: ends.peer for family, ends in tunnel.inner.items()},
                },
                "client_at": {
                    "outer": tunnel.client_outer,
                    **{family: ends.local for family, ends in tunnel.inner.items()},
                },
                "device": tunnel.device,
                "server_device": tunnel.server_device,
                "options": tunnel.intent.options,
                "extra_at": _extra_at(tunnel),
                "via": tunnel.intent.via,
                "preference": tunnel.intent.preference,
                "profile": tunnel.intent.profile,
                "shared": tunnel.process.name if tunnel.process else None,
            }
        )
        for tunnel in tunnels
    )
