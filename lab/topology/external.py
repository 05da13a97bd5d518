"""External nodes (RouterOS, FreeBSD, OpenBSD): the limits of what the lab can configure in another system.

The lab starts their containers and connects their links. It writes their settings as commands or files for the user,
which cover less than a router of the lab.
"""

import re
from collections.abc import Mapping, Sequence

from lab.topology.links import DraftEnd, DraftLink
from lab.topology.mistakes import Findings, one_of, quote
from lab.topology.nodes import DraftNode, below
from lab.topology.shape import is_absent
from lab.topology.source import Table
from lab.topology.tunnels import DraftTunnel

PROFILE = "routeros"
"""The prefix of the profiles for tunnels of a RouterOS node."""

ROUTEROS = "mikrotik_ros"
_PORT = re.compile(r"eth(?P<inside>[1-9]\d*)|ether(?P<shown>[2-9]|[1-9]\d+)")
_BSD_PORTS: Mapping[str, tuple[str, str]] = {"freebsd": ("FreeBSD", "vtnet"), "openbsd": ("OpenBSD", "vio")}
"""The system's name, and that of its network cards without the number, by kind."""
_SETTABLE = ("asn", "networks", "protocol", "router-id", "sessions", "timers")
"""The keys of a router that the commands can set."""
_BSD_SETTABLE = (*_SETTABLE, "daemon", "accept")
"""The keys of a router that the files for FreeBSD and OpenBSD can set."""


def port_shown(interface: str) -> str:
    """Return RouterOS's name of the interface `ethN` of its container; its `ether1` is for management."""
    return f"ether{int(interface.removeprefix('eth')) + 1}"


def name_ports(links: Sequence[DraftLink], drafts: Mapping[str, DraftNode], findings: Findings) -> None:
    """Rename the ports of RouterOS nodes as in their containers; containerlab accepts both names."""
    for link in links:
        for end in link.ends:
            if end.node not in drafts or not drafts[end.node].node.external:
                continue
            if (kind := drafts[end.node].node.kind) in _BSD_PORTS:
                _name_bsd_port(end, *_BSD_PORTS[kind], findings)
                continue
            port = _PORT.fullmatch(end.interface)
            if port is None:
                what = f"{quote(end.interface)} is not a port of RouterOS"
                hint = "the first is 'ether2', 'eth1' in the container; 'ether1' is for management"
                findings.add(end.tree, what, hint)
            elif port["shown"]:
                end.interface = f"eth{int(port['shown']) - 1}"


def _name_bsd_port(end: DraftEnd, system: str, driver: str, findings: Findings) -> None:
    port = re.fullmatch(rf"(?:eth|{driver})([1-9]\d*)", end.interface)
    if port is None:
        what = f"{quote(end.interface)} is not a port of {system}"
        findings.add(
            end.tree, what, f"the first is '{driver}1', 'eth1' in the container; '{driver}0' is for management"
        )
    else:
        end.interface = f"eth{port[1]}"


def check_external(
    drafts: Mapping[str, DraftNode], links: Sequence[DraftLink], tunnels: Sequence[DraftTunnel], findings: Findings
) -> None:
    """Note settings of external nodes that the lab has no commands for."""
    external = {name for name, draft in drafts.items() if draft.node.external}
    for name in external:
        _check_router(drafts[name], findings)
    for tunnel in tunnels:
        if tunnel.server in external:
            what = f"{quote(tunnel.server)} is external: the lab does not see whether a server there is ready"
            if drafts[tunnel.server].node.kind == ROUTEROS:
                what = f"{quote(tunnel.server)} is external: a RouterOS server also asks for a user name and a password"
            findings.add(below(tunnel.tree, ("to",)), what, f"declare the tunnel at {quote(tunnel.server)}")
        is_routeros = tunnel.client in external and drafts[tunnel.client].node.kind == ROUTEROS
        if is_routeros and not (tunnel.intent.profile or "").startswith(PROFILE):
            what = f"{quote(tunnel.client)} is external: its tunnels need a profile"
            findings.add(tunnel.tree, what, f"set 'profile: {PROFILE}-7'")
    for link in links:
        for end in link.ends:
            if end.node in external and link.intent.encapsulation is not None:
                findings.add(end.tree, f"{quote(end.node)} is external: the lab cannot create a kernel tunnel in it")


def _check_router(draft: DraftNode, findings: Findings) -> None:
    tree, router = draft.router, draft.node.intent.router
    if not isinstance(tree, Table) or router is None:
        return
    settable = _SETTABLE if draft.node.kind == ROUTEROS else _BSD_SETTABLE
    for key in tree.entries:
        if key not in settable and not is_absent(tree, key):
            what = f"{quote(draft.name)} is external: the lab has no command for {key!r}"
            findings.add(below(tree, (key,)), what, f"it has commands for {one_of(settable)}")
    if router.protocol != "bgp":
        findings.add(below(tree, ("protocol",)), f"{quote(draft.name)} is external: the lab has commands for BGP only")
    if router.sessions == "unnumbered":
        what = f"{quote(draft.name)} is external: its neighbours are configured by address"
        findings.add(below(tree, ("sessions",)), what, "set 'shared' or 'per-family'")
