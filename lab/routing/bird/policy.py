"""Attributes by prefix: files of one line per prefix, which the neighbours' filters in bird.conf include."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from lab.routing.model import Attributes, Direction
from lab.routing.peers import RouterPlan
from lab.topology import Family, Prefix

_LINE = re.compile(r"^if net = (\S+) then ")


def policy_file(number: int, family: Family, direction: Direction) -> str:
    """Return the name of the file that the filter of a neighbour includes."""
    return f"{direction}{number}-{family}.conf"


def policy_files(configuration: PurePosixPath, plan: RouterPlan) -> list[PurePosixPath]:
    """Return the files of all neighbours of a router."""
    if plan.protocol != "bgp":
        return []
    directions: tuple[Direction, ...] = ("in", "out")
    return [
        configuration / policy_file(number, family, direction)
        for number, peer in enumerate(plan.peers, 1)
        for family in peer.families
        for direction in directions
    ]


def update(text: str, prefixes: Iterable[Prefix], attributes: Attributes | None, asn: int | None) -> str:
    """Return a file's text with new attributes for some prefixes."""
    changed = {str(prefix) for prefix in prefixes}
    kept = [line for line in text.splitlines() if (match := _LINE.match(line)) is not None and match[1] not in changed]
    if attributes is not None:
        kept += [f"if net = {prefix} then {{ {_assignments(attributes, prefix, asn)} }}" for prefix in sorted(changed)]
    return "".join(f"{line}\n" for line in kept)


def _assignments(attributes: Attributes, prefix: str, asn: int | None) -> str:
    words = []
    if attributes.med is not None:
        words.append(f"bgp_med = {attributes.med};")
    if attributes.next_hop is not None and (attributes.next_hop.version == 6) == (":" in prefix):
        words.append(f"bgp_next_hop = {attributes.next_hop};")
    if attributes.local_pref is not None:
        words.append(f"bgp_local_pref = {attributes.local_pref};")
    words += [f"bgp_path.prepend({asn});"] * attributes.prepend
    return " ".join(words)
