"""ospfd and ospf6d: OSPFv2 (RFC 2328) for IPv4, OSPFv3 (RFC 5340) for IPv6."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

from lab.engine.node import RunningNode
from lab.routing.frr.speaker import by_family, originated_paths, zebra_rib
from lab.routing.frr.vty import Vty
from lab.routing.model import AdjacencyState, Neighbor, Rib
from lab.routing.peers import RouterPlan
from lab.topology import Family, Prefix

_DAEMON: Mapping[Family, str] = {"ipv4": "ospfd", "ipv6": "ospf6d"}
_IP: Mapping[Family, str] = {"ipv4": "ip", "ipv6": "ipv6"}
_ORIGINATED = "ORIGINATED"
"""The prefix list of the originated prefixes in each of the two daemons; see ospf.j2."""
_STATES = {str(state).lower(): state for state in AdjacencyState} | {"twoway": AdjacencyState.TWO_WAY}


class Ospf:
    """See `Speaker`."""

    daemons: tuple[str, ...] = ("ospfd", "ospf6d", "staticd")
    reads_file = False
    shown: Mapping[str, tuple[str, str]] = {
        "ospf-neighbors.json": ("ospfd", "show ip ospf neighbor json"),
        "ospf-database.txt": ("ospfd", "show ip ospf database"),
        "ospf6-neighbors.json": ("ospf6d", "show ipv6 ospf6 neighbor json"),
        "ospf6-database.txt": ("ospf6d", "show ipv6 ospf6 database"),
        "ospfd-running-config.txt": ("ospfd", "show running-config"),
        "ospf6d-running-config.txt": ("ospf6d", "show running-config"),
    }

    def loaded_line(self, plan: RouterPlan) -> tuple[str, str]:
        """See `Speaker`."""
        return "ospfd", "router ospf"

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """Read `show ip ospf neighbor json` and its IPv6 counterpart."""
        with Vty(node.root, "ospfd") as ospfd:
            found = read_ospf(ospfd.ask_json("show ip ospf neighbor json"))
        with Vty(node.root, "ospf6d") as ospf6d:
            found += read_ospf6(ospf6d.ask_json("show ipv6 ospf6 neighbor json"))
        return found

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """Read OSPF's routes from zebra, and the originated prefixes from the configuration."""
        with Vty(node.root, _DAEMON[family]) as ospfd:
            own = read_prefix_list(ospfd.ask("show running-config"), family)
        return {**zebra_rib(node, family, ("ospf", "ospf6")), **originated_paths(own)}

    def originate(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix], *, no: bool) -> None:
        """Configure an entry in the prefix list, and a blackhole route in case no interface is in the prefix."""
        before = "no " if no else ""
        for family, members in by_family(prefixes).items():
            ip = _IP[family]
            with Vty(node.root, _DAEMON[family]) as ospfd:
                entries = [f"{before}{ip} prefix-list {_ORIGINATED} permit {p}" for p in members]
                ospfd.configure(entries, event_times=node.event_times)
            with Vty(node.root, "mgmtd") as mgmtd:
                routes = [f"{before}{ip} route {p} Null0" for p in members]
                mgmtd.configure(routes, event_times=node.event_times)


def read_ospf(answer: Mapping[str, Any]) -> list[Neighbor]:
    """Parse `show ip ospf neighbor json`."""
    return [
        Neighbor(
            address=ip_address(facts["ifaceAddress"]),
            asn=None,
            state=(state := _state(facts["nbrState"])),
            uptime=facts.get("upTimeInMsec", 0) / 1000 if state.up else 0.0,
            times_established=int(state.up),
            prefixes_received={},
            last_reset="",
            interface=facts["ifaceName"].partition(":")[0],
        )
        for each in answer.get("neighbors", {}).values()
        for facts in each
    ]


def read_ospf6(answer: Mapping[str, Any]) -> list[Neighbor]:
    """Parse `show ipv6 ospf6 neighbor json`, which has no addresses."""
    return [
        Neighbor(
            address=None,
            router_id=IPv4Address(facts["neighborId"]),
            asn=None,
            state=(state := _state(facts["state"])),
            uptime=_seconds(facts.get("duration", "")) if state.up else 0.0,
            times_established=int(state.up),
            prefixes_received={},
            last_reset="",
            interface=facts["interfaceName"],
        )
        for facts in answer.get("neighbors", ())
    ]


def read_prefix_list(configuration: str, family: Family) -> list[Prefix]:
    """Parse the originated prefixes in a running configuration."""
    start = f"{_IP[family]} prefix-list {_ORIGINATED} "
    return [
        ip_network(line.split()[-1])
        for line in configuration.splitlines()
        if line.startswith(start) and " permit " in line
    ]


def _state(text: str) -> AdjacencyState:
    """Parse `Full/-`, `Full/DR`, `Twoway`: a state, and a role."""
    return _STATES.get(text.partition("/")[0].lower(), AdjacencyState.DOWN)


def _seconds(duration: str) -> float:
    """Parse `01:02:03`; durations of a day or more have another form, and return 0."""
    parts = duration.split(":")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return 0.0
    hours, minutes, seconds = map(int, parts)
    return float(hours * 3600 + minutes * 60 + seconds)
