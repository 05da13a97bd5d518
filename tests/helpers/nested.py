"""Secondary tunnels: kernel tunnels between two routers, inside OpenVPN or over the bare wire."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any, Literal, NamedTuple

from lab.observe import Echo
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.topology import Address, Encapsulation, EncapsulationKind, Endpoint, Family, Interface, Link, LinkIntent
from lab.topology.links import ETHERNET_MTU

WIRE = "wire"
OPENVPN = ("udp", "tcp", "dco")
"""The tunnels of `nested.clab.yml` by name."""
WAYS = (WIRE, *OPENVPN)
DEVICE = "inner"
_INNER: dict[Family, tuple[Interface, Interface]] = {
    "ipv4": (IPv4Interface("10.9.0.1/30"), IPv4Interface("10.9.0.2/30")),
    "ipv6": (IPv6Interface("2001:db8:9::1/64"), IPv6Interface("2001:db8:9::2/64")),
}
_LEAST = 1280
_PROBE_WAIT = 2.0


class Kind(NamedTuple):
    """A kind of secondary tunnel, with the results that hold inside OpenVPN and over the bare wire."""

    kind: EncapsulationKind
    outer: Family
    feature: str
    """The kernel feature that it needs."""
    mtu: int
    """The size of the largest packet that passes unfragmented, in bytes."""
    too_large: Literal["told", "cut"]
    """The result for an unfragmentable packet in a device with too large an MTU: its sender gets an ICMP error, or the
    outer packet is fragmented."""
    lost: tuple[Family, ...] = ()
    """The families whose packets are lost silently instead."""

    def __str__(self) -> str:
        return f"{self.feature} over {self.outer.replace('ip', 'IP')}"


KINDS = (
    Kind("gre", "ipv4", "gre", 1476, "told"),
    Kind("gre", "ipv6", "ip6gre", 1456, "told"),
    Kind("ipip", "ipv4", "ipip", 1480, "told"),
    Kind("ipip", "ipv6", "ip6tnl", 1460, "told"),
    Kind("sit", "ipv4", "sit", 1480, "told"),
    Kind("vxlan", "ipv4", "vxlan", 1450, "cut"),
    Kind("vxlan", "ipv6", "vxlan", 1430, "told", lost=("ipv4",)),
    Kind("wireguard", "ipv4", "wireguard", 1440, "cut"),
    Kind("wireguard", "ipv6", "wireguard", 1420, "cut"),
)


@dataclass(frozen=True)
class Nested:
    """A kernel tunnel from r1 to r2 over one of the paths between them, used by the hosts behind them."""

    lab: Lab
    encapsulation: Encapsulation
    below: str
    """The outgoing interface of r1."""

    @property
    def r1(self) -> LabNode:
        """The router at its beginning."""
        return self.lab.node("r1")

    @property
    def families(self) -> tuple[Family, ...]:
        """The families that it carries."""
        return self.encapsulation.carries

    def echo(self, family: Family, size: int) -> Echo:
        """Return whether r2 answers a packet of some size that must not be fragmented."""
        return self.r1.echo(_INNER[family][1].ip, packet_size=size, wait=_PROBE_WAIT)

    def largest(self, family: Family, likely: int) -> int:
        """Return the size of the largest packet that passes unfragmented; the search begins at `likely`."""
        self.r1.expect_reaches(_INNER[family][1].ip)
        if self.echo(family, likely).answered and not self.echo(family, likely + 1).answered:
            return likely
        low, high = _LEAST, ETHERNET_MTU + 1
        assert self.echo(family, low).answered
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.echo(family, middle).answered else (low, middle)
        return low


@contextmanager
def nested(lab: Lab, kind: Kind, way: str, mtu: int | None = None) -> Iterator[Nested]:
    """Add a kernel tunnel over one of the paths in the context; by default its MTU is what its headers leave."""
    encapsulation = Encapsulation(kind=kind.kind, outer=_outer(lab, way, kind.outer))
    ends = tuple(
        Endpoint(node=name, interface=DEVICE, **_addresses(encapsulation, side))
        for side, name in enumerate(("r1", "r2"))
    )
    nodes = {end.node: lab.node(end.node) for end in ends}
    link = Link(
        kind="veth",
        endpoints=ends,
        mtu=mtu or ETHERNET_MTU - encapsulation.overhead,
        intent=LinkIntent(encapsulation=encapsulation),
    )
    instances = {name: node.running.instance for name, node in nodes.items()}
    routes = {name: _to_the_other_host(lab, encapsulation, side) for side, name in enumerate(("r1", "r2"))}
    try:
        lab.engine.connect_nodes({name: node.model for name, node in nodes.items()}, instances, [link], routes)
        yield Nested(lab, encapsulation, "eth1" if way == WIRE else lab.tunnel(way).device("r1"))
    finally:
        for node in nodes.values():
            node.running.remove_device(DEVICE)


def _outer(lab: Lab, way: str, family: Family) -> tuple[Address, Address]:
    if way == WIRE:
        return lab.node("r1").address(family), lab.node("r2").address(family)
    tunnel = lab.tunnel(way).tunnel
    if family == "ipv4":
        return tunnel.server_ipv4.ip, tunnel.client_ipv4.ip
    return tunnel.server_ipv6.ip, tunnel.client_ipv6.ip


def _addresses(encapsulation: Encapsulation, side: int) -> dict[str, Any]:
    return {family: _INNER[family][side] for family in encapsulation.carries}


def _to_the_other_host(lab: Lab, encapsulation: Encapsulation, side: int) -> list[Any]:
    host = lab.node("h2" if side == 0 else "h1")
    networks = {family: _network(host, family) for family in encapsulation.carries}
    return [(network, _INNER[family][1 - side].ip) for family, network in networks.items()]


def _network(host: LabNode, family: Family) -> Any:
    end = host.interface_to("r2" if host.name == "h2" else "r1")
    address = end.ipv4 if family == "ipv4" else end.ipv6
    assert address is not None
    return address.network
