"""The topology file as data: containerlab's format, inherited, substituted, checked. Knows no Docker."""

from lab.topology.dump import dump
from lab.topology.magic import substitute
from lab.topology.mistakes import Mistake, TopologyError
from lab.topology.model import (
    Address,
    Bfd,
    Dns,
    Endpoint,
    Family,
    Healthcheck,
    Interface,
    Link,
    LinkIntent,
    Node,
    NodeIntent,
    Place,
    Prefix,
    RouterIntent,
    RoutingProtocol,
    Sessions,
    StaticRoute,
    Timers,
    Topology,
    Tunnel,
    TunnelEnds,
    TunnelIntent,
)
from lab.topology.reader import parse, read
from lab.topology.vocabulary import Objection, Vocabulary

__all__ = [
    "Address",
    "Bfd",
    "Dns",
    "Endpoint",
    "Family",
    "Healthcheck",
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
    "Tunnel",
    "TunnelEnds",
    "TunnelIntent",
    "Vocabulary",
    "dump",
    "parse",
    "read",
    "substitute",
]
