"""The nodes of a measurement: two routers, a host behind each, and the path between them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lab.core.errors import InputError
from lab.core.prefixes import FAMILIES, family_of
from lab.fault import RouterPath
from lab.measure.trials.bed import build
from lab.measure.trials.plan import Bed
from lab.routing import plan_routers
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.runtime.router import Router
from lab.topology import Address, Family, Prefix, Topology, Tunnel


@dataclass(frozen=True)
class Roles:
    """The names of the nodes by their roles."""

    observer: str
    """The router that observes: the first tunnel's client."""
    origin: str
    """The router that announces: the first tunnel's server."""
    asking: str
    """The host behind the observer, which sends probe packets."""
    answering: str
    """The host behind the origin, which has an address in each prefix."""
    paths: int
    """Number of tunnels between the two routers."""
    tcp: bool
    """True if the first tunnel runs over TCP."""
    other_next_hop: Mapping[Family, Address]
    """The origin's addresses on the second path; empty if there is one path only."""

    @classmethod
    def of(cls, topology: Topology) -> "Roles":
        """Return the roles in a topology with tunnels; raises `InputError` if one is missing."""
        if not topology.tunnels:
            raise InputError(f"{topology.file}: it has no tunnel, so there is nothing to measure")
        first = topology.tunnels[0]
        between = [t for t in topology.tunnels if {t.client, t.server} == {first.client, first.server}]
        return cls(
            observer=first.client,
            origin=first.server,
            asking=_host(topology, first.client),
            answering=_host(topology, first.server),
            paths=len(between),
            tcp=first.transport == "tcp",
            other_next_hop=_at_end(between[1], first.server) if len(between) > 1 else {},
        )

    @property
    def two_paths(self) -> bool:
        """True if there is an alternative path."""
        return self.paths > 1


def roles(bed: Bed) -> Roles:
    """Return the roles in a bed, over a tunnel or a baseline."""
    return Roles.of(build(replace(bed, over="tunnel"), "roles"))


def _host(topology: Topology, router: str) -> str:
    for name, node in topology.nodes.items():
        if node.intent.router is None and any(r.to == "default" and r.via == router for r in node.intent.routes):
            return name
    raise InputError(f"{topology.file}: no host has its default route via {router!r} to send probe packets: add one")


def _at_end(tunnel: Tunnel, node: str) -> Mapping[Family, Address]:
    """Return the inner addresses of one end of a tunnel."""
    end = tunnel.server_at if node == tunnel.server else tunnel.client_at
    return {family_of(address.network): address.ip for address in end.inner}


class TrialSite:
    """A deployed bed, with prefixes of each family in which the answering host has addresses."""

    def __init__(self, lab: Lab, bed: Bed, roles: Roles, count: int = 1) -> None:
        self.lab, self.bed, self.roles = lab, bed, roles
        self.observer: Router = lab.router(roles.observer)
        self.origin: Router = lab.router(roles.origin)
        self.asking: LabNode = lab.host(roles.asking)
        self.answering: LabNode = lab.host(roles.answering)
        families: tuple[Family, ...] = FAMILIES
        self.prefixes: dict[Family, list[Prefix]] = {family: lab.free_prefixes(family, count) for family in families}
        self.addresses: dict[Family, list[Address]] = {
            family: [self.origin.serve(prefix, self.answering) for prefix in prefixes]
            for family, prefixes in self.prefixes.items()
        }
        self.path = path_of(lab.topology, roles)
        """The path that a fault breaks."""

    @property
    def mode(self) -> str:
        """The mode of the tunnels; empty without tunnels."""
        return self._first.mode if self.bed.over == "tunnel" else ""

    @property
    def _first(self) -> Tunnel:
        return self.lab.topology.tunnels[0]

    @property
    def first_path(self) -> str:
        """The origin's interface of the first path to the observer."""
        return _first_path(self.lab.topology, self.roles)


def path_of(topology: Topology, roles: Roles) -> RouterPath:
    """Return the path that a fault breaks in a bed: the first tunnel, or the link in its place."""
    underlay = _underlay(topology, roles.observer, roles.origin)
    first = _first_path(topology, roles)
    return RouterPath(
        near=roles.observer,
        far=roles.origin,
        tunnel=topology.tunnels[0].name if topology.tunnels else None,
        peering=underlay if topology.tunnels else f"{roles.origin}:{first}",
        underlay=underlay,
    )


def _first_path(topology: Topology, roles: Roles) -> str:
    """Return the origin's interface of the first path to the observer; raises `InputError` if they do not peer."""
    for peer in plan_routers(topology)[roles.origin].peers:
        if peer.node == roles.observer:
            return peer.interface
    raise InputError(
        f"{topology.file}: {roles.origin} has no session with {roles.observer}, as far as its files tell: there is "
        "nothing to measure"
    )


def _underlay(topology: Topology, near: str, far: str) -> str:
    """Return the other end of the near router's first link towards the far one, as `NODE:INTERFACE`."""
    outer = topology.tunnels[0].client_at.outer if topology.tunnels else None
    for link in topology.links:
        ends = {end.node: end for end in link.endpoints}
        if link.intent.peering and near in ends and far in ends:
            if link.intent.encapsulation is None:
                return f"{far}:{ends[far].interface}"
            outer = link.intent.encapsulation.outer[link.endpoints.index(ends[near])]
            break
    for link in topology.links:
        for here, there in (link.endpoints, link.endpoints[::-1]) if len(link.endpoints) == 2 else ():
            if here.node == near and outer in [address.ip for address in here.addresses]:
                return f"{there.node}:{there.interface}"
    raise InputError(f"{topology.file}: no link of {near!r} has the address {outer}")
