"""The ends of a topology's tunnels with their files, which are rendered and read once."""

from collections.abc import Mapping
from functools import cache

from lab.advise import TunnelEnd, ends_of_topology
from lab.topology import Topology
from lab.tunnel.mode import End


@cache
def _ends(topology: str) -> Mapping[tuple[str, End], TunnelEnd]:
    """Return the ends of the tunnels of a topology, given as JSON."""
    found = ends_of_topology(Topology.model_validate_json(topology))
    return {(end.tunnel, end.end): end for end in found}


def ends_of(topology: Topology) -> Mapping[tuple[str, End], TunnelEnd]:
    """Return the ends of a topology's tunnels, by tunnel and end."""
    return _ends(topology.model_dump_json())
