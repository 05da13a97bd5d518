"""Nodes with somebody else's system inside (`mikrotik_ros`): what the lab can say for them, and what it cannot.

The lab lays their wires and starts their containers. What has to be set inside it writes as commands, and these have
no words for everything that a router of the lab's own can do.
"""

import re
from collections.abc import Mapping, Sequence

from lab.topology.links import Wire
from lab.topology.mistakes import Findings, one_of, quote
from lab.topology.nodes import Draft, below
from lab.topology.shape import is_absent
from lab.topology.source import Table
from lab.topology.tunnels import Request

PROFILE = "routeros"
"""How the names of the profiles begin that a tunnel of a RouterOS can have."""

_PORT = re.compile(r"eth(?P<inside>[1-9]\d*)|ether(?P<shown>[2-9]|[1-9]\d+)")
_SAID = ("asn", "networks", "protocol", "router-id", "sessions", "timers")
"""What the commands have words for, of a router."""


def port_shown(interface: str) -> str:
    """What RouterOS calls the interface `ethN` of its container; its own `ether1` is for its management."""
    return f"ether{int(interface.removeprefix('eth')) + 1}"


def name_ports(wires: Sequence[Wire], drafts: Mapping[str, Draft], findings: Findings) -> None:
    """Call the ports of a RouterOS as its container does; containerlab takes both names."""
    for wire in wires:
        for end in wire.ends:
            if end.node not in drafts or not drafts[end.node].node.external:
                continue
            port = _PORT.fullmatch(end.interface)
            if port is None:
                what = f"{quote(end.interface)} is no port of a RouterOS"
                findings.add(end.tree, what, "'ether2' is its first, 'eth1' in its container; 'ether1' manages it")
            elif port["shown"]:
                end.interface = f"eth{int(port['shown']) - 1}"


def check_external(
    drafts: Mapping[str, Draft], wires: Sequence[Wire], tunnels: Sequence[Request], findings: Findings
) -> None:
    """Note what is asked of a node that nobody can set in it."""
    external = {name for name, draft in drafts.items() if draft.node.external}
    for name in external:
        _check_router(drafts[name], findings)
    for request in tunnels:
        if request.server in external:
            what = f"{quote(request.server)} is external: a RouterOS server asks for a name and a password besides"
            findings.add(below(request.tree, ("to",)), what, f"declare the tunnel at {quote(request.server)}")
        if request.client in external and not (request.intent.profile or "").startswith(PROFILE):
            what = f"{quote(request.client)} is external: the tunnel has to be confined to what it speaks"
            findings.add(request.tree, what, f"say 'profile: {PROFILE}-7'")
    for wire in wires:
        for end in wire.ends:
            if end.node in external and wire.intent.encapsulation is not None:
                findings.add(end.tree, f"{quote(end.node)} is external: no kernel tunnel can be made in it")


def _check_router(draft: Draft, findings: Findings) -> None:
    tree, router = draft.router, draft.node.intent.router
    if not isinstance(tree, Table) or router is None:
        return
    for key in tree.entries:
        if key not in _SAID and not is_absent(tree, key):
            what = f"{quote(draft.name)} is external: the lab has no command for {key!r}"
            findings.add(below(tree, (key,)), what, f"it has some for {one_of(_SAID)}")
    if router.protocol != "bgp":
        findings.add(below(tree, ("protocol",)), f"{quote(draft.name)} is external: the lab has commands for BGP only")
    if router.sessions == "unnumbered":
        what = f"{quote(draft.name)} is external: its neighbours are written down by their addresses"
        findings.add(below(tree, ("sessions",)), what, "say 'shared' or 'per-family'")
