"""A ring of nodes without OpenVPN and routing daemons: each has a link to the next one."""

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from lab.catalogue import vocabulary
from lab.topology import Topology, parse

MOST_NODES: Final = 1000
_LINKS: Final = IPv4Network("198.18.0.0/15")


def ring(count: int, *, name: str, image: str) -> Topology:
    """Build a ring of two nodes or more."""
    nodes = names(count)
    links = [
        {
            "endpoints": [f"{node}:eth1", f"{nodes[(number + 1) % count]}:eth2"],
            "ipv4": [address(number, 1), address(number, 2)],
        }
        for number, node in enumerate(nodes)
    ]
    defaults = {"kind": "linux", "image": image, "network-mode": "none", "privileged": False}
    topology = {"defaults": defaults, "nodes": {node: {} for node in nodes}, "links": links}
    return parse(json.dumps({"name": name, "topology": topology}), Path(f"{name}.clab.yml"), vocabulary(), environ={})


def names(count: int) -> list[str]:
    """Return the names of the nodes."""
    return [f"n{number}" for number in range(1, count + 1)]


def address(link: int, end: int) -> str:
    """Return an end's address of a link, with the length of its subnet, a /30."""
    return f"{_LINKS[4 * link + end]}/30"
