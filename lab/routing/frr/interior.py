"""The interfaces on which FRR's OSPF and RIP run, as both ends of an adjacency must agree on them."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from lab.routing.inquiry import InteriorInterface
from lab.topology import Family

_TYPES: Mapping[str, Literal["ptp", "broadcast", "nbma", "ptmp"]] = {
    "POINTOPOINT": "ptp",
    "BROADCAST": "broadcast",
    "NBMA": "nbma",
    "POINTOMULTIPOINT": "ptmp",
}
_RIP_INTERFACE = re.compile(r"^    (\S+)\s+\d(?: \d)?\s+\d(?: \d)?", re.MULTILINE)
_RIP_PASSIVE = re.compile(r"Passive Interface\(s\):\n((?:    \S+\n)+)")


def read_ospf_interfaces(answer: Mapping[str, Any]) -> list[InteriorInterface]:
    """Parse `show ip ospf interface json`."""
    return [
        InteriorInterface(
            protocol="ospf",
            interface=name,
            family="ipv4",
            area=str(facts.get("area", "")).split(" ")[0],
            network_type=_TYPES.get(facts.get("networkType", ""), ""),
            hello=facts["timerMsecs"] // 1000 if "timerMsecs" in facts else None,
            dead=facts.get("timerDeadSecs"),
            passive=bool(facts.get("timerPassiveIface")),
        )
        for name, facts in answer.get("interfaces", {}).items()
        if facts.get("ospfEnabled")
    ]


def read_ospf6_interfaces(answer: Mapping[str, Any]) -> list[InteriorInterface]:
    """Parse `show ipv6 ospf6 interface json`."""
    return [
        InteriorInterface(
            protocol="ospf",
            interface=name,
            family="ipv6",
            area=str(facts.get("areaId", "")),
            network_type=_TYPES.get(facts.get("type", ""), ""),
            hello=facts.get("timerIntervalsConfigHello"),
            dead=facts.get("timerIntervalsConfigDead"),
            passive=bool(facts.get("timerPassiveIface")),
        )
        for name, facts in answer.items()
        if isinstance(facts, dict) and facts.get("attachedToArea")
    ]


def read_rip_interfaces(status: str, family: Family) -> list[InteriorInterface]:
    """Parse the interfaces in `show ip rip status` or `show ipv6 ripng status`."""
    table = status.partition("Key-chain")[2] if "Key-chain" in status else status.partition("Interface")[2]
    quiet = _RIP_PASSIVE.search(status)
    passive = quiet[1].split() if quiet else []
    names = _RIP_INTERFACE.findall(table.partition("Routing for Networks")[0])
    return [
        InteriorInterface("rip", name, family, passive=name in passive) for name in dict.fromkeys([*names, *passive])
    ]
