"""Originate prefixes in the running configuration of an FRR that has files of the user's.

What the lab adds has names of its own, so that nothing of the user's is changed: a route map and a prefix list per
family for OSPF, a route map per prefix for BGP's attributes. Nothing of it is written into a file.
"""

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from lab.core.errors import InputError
from lab.core.prefixes import family_of
from lab.engine.node import RunningNode
from lab.routing.frr.rip import read_originated
from lab.routing.frr.speaker import by_family, originated_paths, zebra_rib
from lab.routing.frr.vty import Vty
from lab.routing.model import Attributes, Rib
from lab.topology import Family, Prefix
from lab.topology.own import OwnRouter

_LIST = "LAB-ANNOUNCED"
_IP: Mapping[Family, str] = {"ipv4": "ip", "ipv6": "ipv6"}
_OSPF: Mapping[Family, tuple[str, str]] = {"ipv4": ("ospfd", "router ospf"), "ipv6": ("ospf6d", "router ospf6")}
_RIP: Mapping[Family, tuple[str, str, str]] = {
    "ipv4": ("ripd", "router rip", "show ip rip"),
    "ipv6": ("ripngd", "router ripng", "show ipv6 ripng"),
}
_DISTANCE = 254
"""The administrative distance of the lab's blackhole routes: any other route to the prefix is preferred."""


def announce(node: RunningNode, own: OwnRouter, prefixes: Sequence[Prefix]) -> None:
    """Originate prefixes with the first protocol of the router; raises `InputError` if it has none."""
    for family, members in by_family(prefixes).items():
        match _protocol(node, own, family):
            case "bgp":
                _announce_bgp(node, own, family, members)
            case "ospf":
                _announce_ospf(node, family, members)
            case _:
                _configure_rip(node, family, [f"route {p}" for p in members])


def withdraw(node: RunningNode, own: OwnRouter, prefixes: Sequence[Prefix]) -> None:
    """Stop originating prefixes; raises `InputError` for one that the user's files originate by other means."""
    for family, members in by_family(prefixes).items():
        match _protocol(node, own, family):
            case "bgp":
                _withdraw_bgp(node, own, family, members)
            case "ospf":
                _withdraw_ospf(node, family, members)
            case _:
                _configure_rip(node, family, [f"no route {p}" for p in members])


def _protocol(node: RunningNode, own: OwnRouter, family: Family) -> str:
    if "bgp" in own.protocols:
        if own.asn is None:
            raise InputError(f"{node.name}: its files have no AS number, so the lab cannot announce")
        return "bgp"
    if "ospf" in own.protocols and _OSPF[family][0] in own.start:
        return "ospf"
    if "rip" in own.protocols and _RIP[family][0] in own.start:
        return "rip"
    raise InputError(f"{node.name}: its files have no routing protocol for {family} that could announce a prefix")


# --- BGP ---------------------------------------------------------------------------------------------------


def _announce_bgp(node: RunningNode, own: OwnRouter, family: Family, prefixes: Sequence[Prefix]) -> None:
    with Vty(node.root, "bgpd") as bgpd:
        running = bgpd.ask("show running-config")
        instance = _inside(own, family)[0]
        if not any(line.split()[:5] == instance.split() for line in running.splitlines()):
            raise InputError(f"{node.name}: bgpd has no instance `{instance}`")
        if "no bgp network import-check" not in running:
            _route(node, family, prefixes, no=False, vrf=own.vrf)
        known = bgp_networks(running)
        lines = [f"network {p}" for p in prefixes if p not in known]
        bgpd.configure(lines, inside=_inside(own, family), event_times=node.event_times)


def _withdraw_bgp(node: RunningNode, own: OwnRouter, family: Family, prefixes: Sequence[Prefix]) -> None:
    with Vty(node.root, "bgpd") as bgpd:
        known = bgp_networks(bgpd.ask("show running-config"))
        if missing := [p for p in prefixes if p not in known and p in _local(bgpd, own, family)]:
            raise InputError(
                f"{node.name}: {missing[0]} is not originated by `network`, but by another line of its files, as "
                "`redistribute`: the lab does not change that"
            )
        lines = [f"no network {p}" for p in prefixes if p in known]
        bgpd.configure(lines, inside=_inside(own, family), event_times=node.event_times)
    _route(node, family, prefixes, no=True, vrf=own.vrf)


def bgp_networks(running: str) -> set[Prefix]:
    """Return the prefixes of `network` statements in a running configuration of bgpd."""
    found = re.findall(r"(?m)^\s+network (\S+/\d+)", running)
    return {ip_network(text, strict=False) for text in found}


def _local(bgpd: Vty, own: OwnRouter, family: Family) -> set[Prefix]:
    answer = bgpd.ask_json(f"show bgp {_of_vrf(own)}{family} unicast json")
    return {
        ip_network(text)
        for text, paths in answer.get("routes", {}).items()
        if any(path.get("peerId", "(unspec)") == "(unspec)" for path in paths)
    }


def receivers(node: RunningNode, own: OwnRouter, prefix: Prefix) -> list[str]:
    """Return the neighbours to which bgpd sends a prefix, from `show bgp … PREFIX json`."""
    with Vty(node.root, "bgpd") as bgpd:
        answer = bgpd.ask_json(f"show bgp {_of_vrf(own)}{family_of(prefix)} unicast {prefix} json")
    found: dict[str, None] = {}
    for each in (answer, *answer.get("paths", ())):
        for name in each.get("advertisedTo", {}):
            found[name] = None
    return list(found)


def set_attributes(
    node: RunningNode, own: OwnRouter, prefixes: Sequence[Prefix], attributes: Attributes | None
) -> None:
    """Attach attributes to originated prefixes, by the route map of their `network` statement."""
    with Vty(node.root, "bgpd") as bgpd:
        running = bgpd.ask("show running-config")
        users = re.findall(r"(?m)^\s+network (\S+/\d+) .*?route-map (?!LAB-)(\S+)", running)
        for prefix in prefixes:
            if (other := dict(users).get(str(prefix))) is not None:
                raise InputError(f"{node.name}: {prefix} has the route map {other} of its files: change that")
        for family, members in by_family(prefixes).items():
            for prefix in members:
                name = f"LAB-{prefix}"
                lines = [f"no route-map {name}"] if f"route-map {name} " in running else []
                if attributes is not None:
                    lines += [f"route-map {name} permit 10", *_sets(node, own, family, attributes), "exit"]
                bgpd.configure(lines, event_times=node.event_times)
                suffix = f" route-map {name}" if attributes is not None else ""
                if attributes is not None or prefix in bgp_networks(running):
                    network = [f"network {prefix}{suffix}"]
                    if attributes is not None and "no bgp network import-check" not in running:
                        _route(node, family, [prefix], no=False, vrf=own.vrf)
                    bgpd.configure(network, inside=_inside(own, family), event_times=node.event_times)


def _sets(node: RunningNode, own: OwnRouter, family: Family, attributes: Attributes) -> list[str]:
    if attributes.next_hop is not None:
        raise InputError(f"{node.name}: the lab does not set next hops on a router with files of its own")
    lines = [] if attributes.med is None else [f"set metric {attributes.med}"]
    if attributes.prepend:
        lines.append(f"set as-path prepend {' '.join([str(own.asn)] * attributes.prepend)}")
    return lines


def _inside(own: OwnRouter, family: Family) -> list[str]:
    vrf = f" vrf {own.vrf}" if own.vrf else ""
    return [f"router bgp {own.asn}{vrf}", f"address-family {family} unicast"]


def _of_vrf(own: OwnRouter) -> str:
    return f"vrf {own.vrf} " if own.vrf else ""


# --- OSPF and RIP ------------------------------------------------------------------------------------------


def _announce_ospf(node: RunningNode, family: Family, prefixes: Sequence[Prefix]) -> None:
    """Redistribute prefixes by a route map of the lab's, beside what the user's files redistribute."""
    daemon, router = _OSPF[family]
    ip = _IP[family]
    with Vty(node.root, daemon) as ospf:
        running = ospf.ask("show running-config")
        ospf.configure([f"{ip} prefix-list {_LIST} permit {p}" for p in prefixes], event_times=node.event_times)
        if f"route-map {_LIST} " not in running:
            ospf.configure([f"route-map {_LIST} permit 10", f"match {ip} address prefix-list {_LIST}", "exit"])
        section = _section(running, router)
        missing = [s for s in ("connected", "static") if not any(f"redistribute {s}" in line for line in section)]
        lines = [f"redistribute {source} route-map {_LIST}" for source in missing]
        ospf.configure(lines, inside=[router], event_times=node.event_times)
    _route(node, family, prefixes, no=False)


def _withdraw_ospf(node: RunningNode, family: Family, prefixes: Sequence[Prefix]) -> None:
    daemon, _ = _OSPF[family]
    with Vty(node.root, daemon) as ospf:
        known = _listed(ospf.ask("show running-config"), family)
        if missing := [p for p in prefixes if p not in known]:
            raise InputError(
                f"{node.name}: the lab did not announce {missing[0]}; what its files announce stays: change them"
            )
        ospf.configure(
            [f"no {_IP[family]} prefix-list {_LIST} permit {p}" for p in prefixes], event_times=node.event_times
        )
    _route(node, family, prefixes, no=True)


def _configure_rip(node: RunningNode, family: Family, lines: Sequence[str]) -> None:
    _, router, _ = _RIP[family]
    with Vty(node.root, "mgmtd") as mgmtd:
        mgmtd.configure(lines, inside=[router], event_times=node.event_times)


def interior_rib(node: RunningNode, own: OwnRouter, family: Family) -> Rib:
    """Return the routes of OSPF and RIP in zebra, and the prefixes that the router originates by redistribution."""
    originated: list[Prefix] = []
    if "ospf" in own.protocols and _OSPF[family][0] in own.start:
        with Vty(node.root, _OSPF[family][0]) as ospf:
            originated += read_externals(ospf.ask_json(_EXTERNALS[family]), family)
    if "rip" in own.protocols and _RIP[family][0] in own.start:
        daemon, _, table = _RIP[family]
        with Vty(node.root, daemon) as rip:
            originated += read_originated(rip.ask(table))
    names = [name for protocol in own.protocols if protocol != "bgp" for name in _ZEBRA_NAMES[protocol]]
    return {**zebra_rib(node, family, names), **originated_paths(originated)}


_EXTERNALS: Mapping[Family, str] = {
    "ipv4": "show ip ospf database external self-originate json",
    "ipv6": "show ipv6 ospf6 database as-external self-originated json",
}
"""The commands that show the prefixes which OSPF redistributes (RFC 2328, section 12.4.4)."""


def read_externals(answer: Mapping[str, Any], family: Family) -> list[Prefix]:
    """Parse the prefixes of the external LSAs that a router originates; those that it flushes have the age 3600."""
    if family == "ipv4":
        states = answer.get("asExternalLinkStates", ())
        return [
            ip_network(f"{state['linkStateId']}/{state['networkMask']}", strict=False)
            for state in states
            if state["lsaAge"] < _MAX_AGE
        ]
    scopes = answer.get("asScopedLinkStateDb", ())
    return [ip_network(a["payload"]) for scope in scopes for a in scope.get("lsa", ()) if a["age"] < _MAX_AGE]


_MAX_AGE = 3600
_ZEBRA_NAMES = {"ospf": ("ospf", "ospf6"), "rip": ("rip", "ripng")}


def _listed(running: str, family: Family) -> list[Prefix]:
    start = f"{_IP[family]} prefix-list {_LIST} "
    lines = [line for line in running.splitlines() if line.startswith(start) and " permit " in line]
    return [ip_network(line.split()[-1]) for line in lines]


def _section(running: str, head: str) -> list[str]:
    """Return the lines of a section, without those of its subsections' headers."""
    lines, inside = [], False
    for line in running.splitlines():
        if not line.startswith((" ", "!")):
            inside = line.strip() == head
        elif inside:
            lines.append(line.strip())
    return lines


def _route(node: RunningNode, family: Family, prefixes: Sequence[Prefix], *, no: bool, vrf: str | None = None) -> None:
    """Configure the blackhole routes that make prefixes originated which no interface has."""
    before = "no " if no else ""
    inside = [f"vrf {vrf}"] if vrf else []
    with Vty(node.root, "mgmtd") as mgmtd:
        running = mgmtd.ask("show running-config") if no else ""
        lines = []
        for prefix in prefixes:
            route = f"{_IP[family]} route {prefix} Null0 {_DISTANCE}"
            if not no or re.search(
                rf"(?m)^ *{_IP[family]} route {re.escape(str(prefix))} \S+ {_DISTANCE}\s*$", running
            ):
                lines.append(before + route)
        mgmtd.configure(lines, inside=inside, event_times=node.event_times)
