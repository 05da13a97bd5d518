"""ripd and ripngd: RIP version 2 (RFC 2453) for IPv4, RIPng (RFC 2080) for IPv6; the article used `routed`.

They are configured through mgmtd.
"""

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network

from lab.engine.node import RunningNode
from lab.routing.frr.speaker import by_family, originated_paths, zebra_rib
from lab.routing.frr.vty import Vty
from lab.routing.model import Neighbor, Rib, RipState
from lab.routing.peers import RouterPlan
from lab.topology import Family, Prefix

_DAEMON: Mapping[Family, str] = {"ipv4": "ripd", "ipv6": "ripngd"}
_ROUTER: Mapping[Family, str] = {"ipv4": "router rip", "ipv6": "router ripng"}
_TABLE: Mapping[Family, str] = {"ipv4": "show ip rip", "ipv6": "show ipv6 ripng"}
# `R(s) 10.1.0.0/24`: RIP's own, static.
_OWN = re.compile(r"^R\(s\)\s+(\S+/\d+)", re.MULTILINE)
_SOURCE = re.compile(r"^\s+(\S+)\s+\d+\s+\d+\s+\d+\s+(?:(\d+):(\d+):(\d+))", re.MULTILINE)
_VIA = re.compile(r"^\s+(fe80:\S+)\s+(\S+)\s+\d+\s+\d+", re.MULTILINE)


class Rip:
    """See `Speaker`."""

    daemons: tuple[str, ...] = ("ripd", "ripngd")
    reads_file = False
    shown: Mapping[str, tuple[str, str]] = {
        "rip.txt": ("ripd", "show ip rip"),
        "rip-status.txt": ("ripd", "show ip rip status"),
        "ripng.txt": ("ripngd", "show ipv6 ripng"),
        "ripng-status.txt": ("ripngd", "show ipv6 ripng status"),
        "mgmtd-running-config.txt": ("mgmtd", "show running-config"),
    }

    def loaded_line(self, plan: RouterPlan) -> tuple[str, str]:
        """See `Speaker`."""
        return "mgmtd", "router rip"

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """Read `show ip rip status` and its IPv6 counterpart."""
        found: list[Neighbor] = []
        for family, daemon in _DAEMON.items():
            with Vty(node.root, daemon) as ripd:
                found += read_status(ripd.ask(f"{_TABLE[family]} status"), ripd.ask(_TABLE[family]))
        return found

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """Read RIP's routes from zebra, and the originated prefixes from RIP's table."""
        with Vty(node.root, _DAEMON[family]) as ripd:
            own = read_originated(ripd.ask(_TABLE[family]))
        return {**zebra_rib(node, family, ("rip", "ripng")), **originated_paths(own)}

    def originate(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix], *, no: bool) -> None:
        """Configure `route PREFIX`, RIP's own static routes."""
        before = "no " if no else ""
        with Vty(node.root, "mgmtd") as mgmtd:
            for family, members in by_family(prefixes).items():
                lines = [f"{before}route {p}" for p in members]
                mgmtd.configure(lines, inside=[_ROUTER[family]], event_times=node.event_times)


def read_status(status: str, table: str) -> list[Neighbor]:
    """Parse the gateways in `show ip rip status`; the interface of a link-local one is in the table."""
    interfaces = dict(_VIA.findall(table))
    sources = status.partition("Gateway")[2]
    return [
        Neighbor(
            address=ip_address(gateway),
            asn=None,
            state=RipState.HEARD,
            uptime=0.0,
            times_established=1,
            prefixes_received={},
            last_reset="",
            interface=interfaces.get(gateway, ""),
        )
        for gateway, *_ in _SOURCE.findall(sources)
    ]


def read_originated(table: str) -> list[Prefix]:
    """Parse the originated prefixes in `show ip rip`."""
    return [ip_network(prefix) for prefix in _OWN.findall(table)]
