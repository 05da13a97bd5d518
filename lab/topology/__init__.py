"""The topology file as data: containerlab's format, inherited, substituted and checked, without a container engine."""

from typing import TYPE_CHECKING

from lab.core.lazy import lazy_exports

if TYPE_CHECKING:
    from lab.core.prefixes import Address, Family, Interface, Prefix
    from lab.topology.dump import dump
    from lab.topology.intent import (
        Accepted,
        Bfd,
        Encapsulation,
        EncapsulationKind,
        EndpointIntent,
        Impairment,
        LinkIntent,
        NodeIntent,
        RouterIntent,
        RoutingProtocol,
        Sessions,
        StaticRoute,
        Timers,
        TunnelEnds,
        TunnelIntent,
    )
    from lab.topology.magic import substitute
    from lab.topology.mistakes import Mistake, TopologyError
    from lab.topology.model import Dns, Endpoint, Healthcheck, Link, Node, Place, Topology, Tunnel
    from lab.topology.reader import parse, read
    from lab.topology.vocabulary import Objection, TrafficClass, Vocabulary

__all__ = [
    "Accepted",
    "Address",
    "Bfd",
    "Dns",
    "Encapsulation",
    "EncapsulationKind",
    "Endpoint",
    "EndpointIntent",
    "Family",
    "Healthcheck",
    "Impairment",
    "Interface",
    "Link",
    "LinkIntent",
    "Mistake",
    "Node",
    "NodeIntent",
    "Objection",
    "Place",
    "Prefix",
    "RouterIntent",
    "RoutingProtocol",
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
    "dump",
    "parse",
    "read",
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
            "lab.topology.dump": ("dump",),
            "lab.topology.intent": (
                "Accepted",
                "Bfd",
                "Encapsulation",
                "EncapsulationKind",
                "EndpointIntent",
                "Impairment",
                "LinkIntent",
                "NodeIntent",
                "RouterIntent",
                "RoutingProtocol",
                "Sessions",
                "StaticRoute",
                "Timers",
                "TunnelEnds",
                "TunnelIntent",
            ),
            "lab.topology.magic": ("substitute",),
            "lab.topology.mistakes": (
                "Mistake",
                "TopologyError",
            ),
            "lab.topology.model": (
                "Dns",
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
