"""Routing daemons that run with files of the user's: what the files say, and how the daemon is started with them."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from lab.configs.routing.facts import BgpNeighbor, InteriorInterface, RouterFacts
from lab.core.errors import InputError
from lab.core.prefixes import Address, Family
from lab.own import bird_files, frr_files
from lab.own.router_files import GivenFiles
from lab.topology import RouterIntent, RoutingProtocol, Topology
from lab.topology.intent import Sessions
from lab.topology.own import OwnNeighbor, OwnRouter, Remark
from lab.topology.segments import endpoints_of

_FAMILY: Mapping[str, Family] = {"ospf": "ipv4", "rip": "ipv4", "ospf6": "ipv6", "ripng": "ipv6"}


class OwnRouters(NamedTuple):
    """The result of `read_own_routers`."""

    routers: Mapping[str, OwnRouter]
    remarks: tuple[Remark, ...]


def read_own_routers(topology: Topology) -> OwnRouters:
    """Read the files of all routers that have some; the topology's tunnels are complete already.

    Raises `InputError` for files that cannot be read, or that are not for the daemon.
    """
    routers: dict[str, OwnRouter] = {}
    remarks: list[Remark] = []
    for name, node in topology.nodes.items():
        intent = node.intent.router
        if intent is None or not intent.config:
            continue
        configs = (intent.config,) if isinstance(intent.config, str) else intent.config
        at = f"{topology.file}: topology.nodes.{name}.config.vars.router.config"
        if intent.daemon == "frr":
            found = frr_files.read(name, configs, topology.file.parent, at)
        elif intent.daemon in ("bird", "bird3"):
            found = bird_files.read(name, configs, topology.file.parent, at)
        else:
            raise InputError(f"{at}: the lab cannot read files of {intent.daemon}")
        routers[name] = _router(topology, name, intent.daemon, found)
        remarks += found.remarks
    return OwnRouters(routers, tuple(remarks))


def with_facts(intent: RouterIntent, own: OwnRouter) -> RouterIntent:
    """Return the intent of a router with what its files say, as its neighbours need it."""
    numbered = {n.address.version for n in own.neighbors if n.address is not None and not n.address.is_link_local}
    unnumbered = any(n.address is None and n.range is None for n in own.neighbors)
    sessions: Sessions = "per-family" if numbered == {4, 6} else "shared"
    changes = {
        "protocol": own.protocols[0] if own.protocols else "bgp",
        "asn": own.asn,
        "sessions": "unnumbered" if unnumbered and not numbered else sessions,
        "router_id": own.router_id,
        "networks": own.networks,
    }
    return intent.model_copy(update=changes)


def _router(topology: Topology, name: str, daemon: str, found: GivenFiles) -> OwnRouter:
    facts = found.facts
    protocols: list[RoutingProtocol] = []
    if "bgp" in facts.protocols:
        protocols.append("bgp")
    if {"ospf", "ospf6"} & facts.protocols:
        protocols.append("ospf")
    if {"rip", "ripng"} & facts.protocols:
        protocols.append("rip")
    neighbors = [n for n in facts.neighbors if not n.disabled]
    vrfs = tuple(dict.fromkeys(n.vrf for n in neighbors if n.vrf is not None))
    vrf = vrfs[0] if vrfs and all(n.vrf is not None for n in neighbors) else None
    return OwnRouter(
        node=name,
        daemon=daemon,
        protocols=tuple(protocols),
        asn=facts.asn or next((n.local_as for n in neighbors if n.local_as is not None), None),
        router_id=facts.router_id,
        neighbors=tuple(_neighbor(n, facts) for n in neighbors),
        networks=tuple(dict.fromkeys(o.prefix for o in facts.originated if o.vrf == vrf)),
        interfaces=_interfaces(topology, name, facts),
        vrfs=vrfs,
        vrf=vrf,
        hold=min((n.hold for n in neighbors if n.hold), default=None),
        start=found.start,
        integrated=not facts.split,
        files=found.files,
    )


def _neighbor(neighbor: BgpNeighbor, facts: RouterFacts) -> OwnNeighbor:
    asn = neighbor.remote if isinstance(neighbor.remote, int) else None
    families: tuple[Family, ...] = tuple(sorted(neighbor.families))
    return OwnNeighbor(
        address=neighbor.address,
        range=neighbor.range,
        asn=facts.asn if neighbor.remote == "internal" else asn,
        interface=neighbor.interface or neighbor.source_interface,
        name=neighbor.name,
        families=families,
        vrf=neighbor.vrf,
    )


def _interfaces(topology: Topology, name: str, facts: RouterFacts) -> Mapping[Family, tuple[str, ...]]:
    """Return the interfaces of a node on which OSPF or RIP looks for neighbours."""
    addresses = known_addresses(topology, name)
    for section in facts.interfaces:
        addresses.setdefault(section.name, set()).update(a.ip for a in section.addresses)
    found: dict[Family, list[str]] = {}
    for interface, held in addresses.items():
        for entry in facts.interior:
            if _matches(entry, interface, held) and not entry.is_passive(interface) and interface != "lo":
                found.setdefault(_FAMILY[entry.protocol], []).append(interface)
    return {family: tuple(dict.fromkeys(names)) for family, names in found.items()}


def known_addresses(topology: Topology, name: str) -> dict[str, set[Address]]:
    """Return the addresses of a node's interfaces, as far as the topology tells."""
    found: dict[str, set[Address]] = {}
    for end in endpoints_of(topology, name):
        found.setdefault(end.interface, set()).update(a.ip for a in end.addresses)
    for tunnel in topology.tunnels:
        for node, device, at in (
            (tunnel.client, tunnel.device, tunnel.client_at),
            (tunnel.server, tunnel.server_device, tunnel.server_at),
        ):
            if node == name:
                found.setdefault(device, set()).update(a.ip for a in at.inner)
    for process in topology.processes:
        if process.node == name:
            inner = (process.ipv4, process.ipv6)
            found.setdefault(process.device, set()).update(a.ip for a in inner if a is not None)
    return found


def _matches(entry: InteriorInterface, interface: str, addresses: set[Address]) -> bool:
    if entry.vrf is not None or any(fnmatchcase(interface, pattern) for pattern in entry.excluded):
        return False
    if entry.name is not None:
        return fnmatchcase(interface, entry.name)
    return entry.prefix is not None and any(a.version == entry.prefix.version and a in entry.prefix for a in addresses)
