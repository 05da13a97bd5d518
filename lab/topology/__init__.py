"""The topology file as data: containerlab's format, inherited, substituted and checked, without a container engine."""

from typing import TYPE_CHECKING

from lab.core.lazy import lazy_exports

if TYPE_CHECKING:
    from lab.core.prefixes import Address, Family, Interface, Prefix
    from lab.topology.extra import ExtraLine, extra_lines, insert_extra, placed
    from lab.topology.intent import (
        Accepted,
        Bfd,
        Encapsulation,
        EncapsulationKind,
        EndpointIntent,
        Extra,
        Impairment,
        LinkIntent,
        NeighborIntent,
        NodeIntent,
        OpenVpnIntent,
        RouterIntent,
        RoutingProtocol,
        SessionIntent,
        Sessions,
        StaticRoute,
        Timers,
        TunnelEnds,
        TunnelIntent,
        community_numbers,
    )
    from lab.topology.magic import require_sources, substitute
    from lab.topology.mistakes import Mistake, TopologyError
    from lab.topology.model import Dns, EndAddresses, Endpoint, Healthcheck, Link, Node, Place, Topology, Tunnel
    from lab.topology.reader import parse, read
    from lab.topology.vocabulary import Objection, TrafficClass, Vocabulary
    from lab.topology.written import dump

__all__ = [
    "Accepted",
    "Address",
    "Bfd",
    "Dns",
    "Encapsulation",
    "EncapsulationKind",
    "EndAddresses",
    "Endpoint",
    "EndpointIntent",
    "Extra",
    "ExtraLine",
    "Family",
    "Healthcheck",
    "Impairment",
    "Interface",
    "Link",
    "LinkIntent",
    "Mistake",
    "NeighborIntent",
    "Node",
    "NodeIntent",
    "Objection",
    "OpenVpnIntent",
    "Place",
    "Prefix",
    "RouterIntent",
    "RoutingProtocol",
    "SessionIntent",
    "Sessions",
    "StaticRoute",
    "Timers",
    "Topology",
    "TopologyError",
    "TrafficClass",
    "Tunnel",
    "TunnelEnds",
    "TunnelIntent",
    "Vocabulary",
    "community_numbers",
    "dump",
    "extra_lines",
    "insert_extra",
    "parse",
    "placed",
    "read",
    "require_sources",
    "substitute",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "lab.core.prefixes": (
                "Address",
                "Family",
                "Interface",
                "Prefix",
            ),
            "lab.topology.written": ("dump",),
            "lab.topology.extra": ("ExtraLine", "extra_lines", "insert_extra", "placed"),
            "lab.topology.intent": (
                "Accepted",
                "Bfd",
                "Encapsulation",
                "EncapsulationKind",
                "EndpointIntent",
                "Extra",
                "Impairment",
                "LinkIntent",
                "NeighborIntent",
                "NodeIntent",
                "OpenVpnIntent",
                "RouterIntent",
                "RoutingProtocol",
                "SessionIntent",
                "Sessions",
                "StaticRoute",
                "Timers",
                "TunnelEnds",
                "TunnelIntent",
                "community_numbers",
            ),
            "lab.topology.magic": ("require_sources", "substitute"),
            "lab.topology.mistakes": (
                "Mistake",
                "TopologyError",
            ),
            "lab.topology.model": (
                "Dns",
                "EndAddresses",
                "Endpoint",
                "Healthcheck",
                "Link",
                "Node",
                "Place",
                "Topology",
                "Tunnel",
            ),
            "lab.topology.reader": (
                "parse",
                "read",
            ),
            "lab.topology.vocabulary": (
                "Objection",
                "TrafficClass",
                "Vocabulary",
            ),
        },
    )
