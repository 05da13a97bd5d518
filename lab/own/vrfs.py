"""VRFs of the kernel in nodes: their devices, the interfaces that belong to them, and their static routes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lab.core.errors import InputError, NotSupported
from lab.core.prefixes import Interface
from lab.engine.node import RunningNode
from lab.topology import Topology
from lab.topology.segments import endpoints_of, static_routes


@dataclass(frozen=True)
class Member:
    """An interface of a VRF."""

    name: str
    kind: Literal["link", "tun", "tap"]
    """`link` exists before; the device of a tunnel is made, so that OpenVPN finds it in the VRF."""
    addresses: tuple[Interface, ...] = ()


@dataclass(frozen=True)
class Vrf:
    """A VRF of a node."""

    name: str
    table: int
    members: tuple[Member, ...]
    routes: tuple[tuple[str, str], ...]
    """The node's static routes through its links: destination and next hop."""


def vrfs_of(topology: Topology, node: str) -> list[Vrf]:
    """Return the VRFs of a node; raises `InputError` for an interface that the node does not have, or has in two."""
    intents = topology.nodes[node].intent.vrfs
    if not intents:
        return []
    known = {member.name: member for member in (*_links(topology, node), *_devices(topology, node))}
    at = f"{topology.file}: topology.nodes.{node}.config.vars.vrfs"
    tables: dict[int, str] = {}
    owner: dict[str, str] = {}
    found = []
    for name, intent in intents.items():
        if (other := tables.setdefault(intent.table, name)) != name or intent.table in (253, 254, 255):
            used = other if other != name else "the kernel itself"
            raise InputError(f"{at}.{name}.table: {intent.table} is the table of {used}: choose another")
        for interface in intent.interfaces:
            if interface not in known:
                raise InputError(
                    f"{at}.{name}.interfaces: {node} has no interface {interface}: it has {', '.join(known) or 'none'}"
                )
            if (first := owner.setdefault(interface, name)) != name:
                raise InputError(f"{at}.{name}.interfaces: {interface} is in the VRF {first} already")
        members = tuple(known[interface] for interface in intent.interfaces)
        found.append(Vrf(name, intent.table, members, tuple(_routes(topology, node, members))))
    return found


def _links(topology: Topology, node: str) -> Iterator[Member]:
    for end in endpoints_of(topology, node):
        yield Member(end.interface, "link", end.addresses)


def _devices(topology: Topology, node: str) -> Iterator[Member]:
    """Yield the devices of the user's processes."""
    for process in topology.processes:
        if process.node == node:
            yield Member(process.device, "tap" if process.tap else "tun")


def _routes(topology: Topology, node: str, members: tuple[Member, ...]) -> Iterator[tuple[str, str]]:
    networks = [address.network for member in members for address in member.addresses]
    for prefix, via in static_routes(topology)[node]:
        if any(via.version == network.version and via in network for network in networks):
            yield str(prefix), str(via)


def create_vrf(node: RunningNode, vrf: Vrf) -> None:
    """Create a VRF with its interfaces; raises `NotSupported` if the kernel has none.

    The kernel removes IPv6 addresses and all routes of an interface that changes its VRF, so they are set again.
    """
    result = node.exec("ip", "link", "add", vrf.name, "type", "vrf", "table", str(vrf.table))
    if result.failed and "Unknown device type" in result.stderr:
        raise NotSupported("vrf", f"{node.name} has the VRF {vrf.name}, and this kernel has no VRFs")
    result.raise_on_error()
    node.exec("ip", "link", "set", vrf.name, "up").raise_on_error()
    for member in vrf.members:
        if member.kind != "link":
            node.exec("ip", "tuntap", "add", "dev", member.name, "mode", member.kind).raise_on_error()
        node.exec("ip", "link", "set", member.name, "master", vrf.name).raise_on_error()
        if member.addresses:
            node.add_addresses(member.name, member.addresses)
    for prefix, via in vrf.routes:
        node.exec("ip", "route", "replace", prefix, "via", via, "vrf", vrf.name).raise_on_error()
