"""The interfaces on which BIRD's OSPF and RIP run, as both ends of an adjacency must agree on them."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from lab.routing.bird.control import Line
from lab.routing.inquiry import InteriorInterface
from lab.topology import Family

_TYPES: Mapping[str, Literal["ptp", "broadcast", "nbma", "ptmp"]] = {
    "ptp": "ptp",
    "broadcast": "broadcast",
    "nbma": "nbma",
    "ptmp": "ptmp",
}
_INTERFACE = re.compile(r"^Interface (\S+)")
_RIP = re.compile(r"^(\S+)\s+(Up|Down)\s")


def read_ospf_interfaces(lines: Sequence[Line], family: Family) -> list[InteriorInterface]:
    """Parse `show ospf interface`: a head for each interface, and a line for each fact."""
    blocks: list[tuple[str, dict[str, str]]] = []
    for line in lines:
        if head := _INTERFACE.match(line.text):
            blocks.append((head[1], {}))
        elif blocks and ":" in line.text:
            key, _, value = line.text.strip().partition(":")
            blocks[-1][1].setdefault(key, value.strip())
    return [
        InteriorInterface(
            protocol="ospf",
            interface=name,
            family=family,
            area=facts.get("Area", "").split(" ")[0],
            network_type=_TYPES.get(facts.get("Type", "").split(" ")[0], ""),
            hello=_seconds(facts.get("Hello timer", "")),
            dead=_seconds(facts.get("Dead timer", "")),
            passive="(stub)" in facts.get("State", ""),
        )
        for name, facts in blocks
    ]


def read_rip_interfaces(lines: Sequence[Line], family: Family) -> list[InteriorInterface]:
    """Parse `show rip interfaces`: Interface, State, Metric, Nbrs, Timer."""
    found = [match for line in lines if (match := _RIP.match(line.text))]
    return [InteriorInterface("rip", match[1], family) for match in found]


def _seconds(text: str) -> int | None:
    return int(text) if text.isdigit() else None
