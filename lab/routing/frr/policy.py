"""Attributes by prefix: route maps in which each entry matches a prefix list of one prefix."""

import re
from collections.abc import Iterable, Sequence

from lab.core.event_times import EventTimes
from lab.routing.frr.speaker import by_family
from lab.routing.frr.vty import Vty
from lab.routing.model import Attributes, Direction
from lab.routing.peer import Peer
from lab.routing.peers import RouterPlan
from lab.topology import Family, Prefix

_LAST = 65535
"""The number of the last entry of a route map, which permits all other prefixes unchanged."""
_STEP = 10
_ENTRY = re.compile(r"sequence (\d+)|prefix-list (\S+)")


def set_attributes(
    bgpd: Vty,
    plan: RouterPlan,
    peer: Peer,
    prefixes: Iterable[Prefix],
    attributes: Attributes | None,
    direction: Direction,
    event_times: EventTimes,
) -> None:
    """Set or clear the attributes of prefixes for one neighbour, and apply them at once.

    bgpd applies a changed route map after five seconds; a soft reset applies it immediately.
    """
    for family, members in by_family(prefixes).items():
        if family not in peer.families:
            continue
        name = f"{direction.upper()}-{peer.interface}-{family}"
        known = read_entries(bgpd.ask(f"show route-map {name}"))
        if not known and attributes is None:
            continue
        lines = entries(name, family, members, attributes, known, plan.asn, default_set_lines(peer, family, direction))
        bgpd.configure(lines, event_times=event_times)
        if not known:
            bgpd.configure(
                [
                    f"router bgp {plan.asn}",
                    f"address-family {family} unicast",
                    f"neighbor {peer.name} route-map {name} {direction}",
                ],
                event_times=event_times,
            )
        bgpd.ask(f"clear bgp {family} unicast {peer.name} soft {direction}")


def read_entries(shown: str) -> dict[str, int]:
    """Parse the entries in `show route-map NAME`: their numbers by prefix list, and of the last by an empty string."""
    found: dict[str, int] = {}
    sequence: int | None = None
    for number, prefix_list in _ENTRY.findall(shown):
        if number:
            sequence = int(number)
            if sequence == _LAST:
                found[""] = sequence
        elif sequence is not None:
            found[prefix_list] = sequence
    return found


def default_set_lines(peer: Peer, family: Family, direction: Direction) -> list[str]:
    """Return the `set` lines of the neighbour's default route map, which the new one replaces; see bgp.j2."""
    if direction == "out":
        return []
    preferred = [] if peer.preference is None else [f"set local-preference {peer.preference}"]
    return [*preferred, *(["set ipv6 next-hop prefer-global"] if family == "ipv6" else [])]


def entries(
    name: str,
    family: Family,
    prefixes: Sequence[Prefix],
    attributes: Attributes | None,
    known: dict[str, int],
    asn: int | None,
    default_lines: Sequence[str],
) -> list[str]:
    """Return the lines that change a route map; every entry contains `default_lines`."""
    ip = "ip" if family == "ipv4" else "ipv6"
    lines = [] if known else [f"route-map {name} permit {_LAST}", *default_lines, "exit"]
    free = max((number for number in known.values() if number != _LAST), default=0)
    for prefix in prefixes:
        prefix_list = f"ONLY-{prefix}"
        number = known.get(prefix_list)
        if number is not None:
            lines.append(f"no route-map {name} permit {number}")
        if attributes is None:
            continue
        if number is None:
            number = free = free + _STEP
        lines += [
            f"{ip} prefix-list {prefix_list} permit {prefix}",
            f"route-map {name} permit {number}",
            f"match {ip} address prefix-list {prefix_list}",
            *default_lines,
            *_sets(attributes, family, asn),
            "exit",
        ]
    return lines


def community_lines(communities: Sequence[str]) -> list[str]:
    """Return the `set` lines that attach communities."""
    large = [text for text in communities if text.count(":") == 2]
    plain = [text.replace("local-as", "local-AS") for text in communities if text not in large]
    lines = [f"set community {' '.join(plain)}"] if plain else []
    return lines + ([f"set large-community {' '.join(large)}"] if large else [])


def _sets(attributes: Attributes, family: Family, asn: int | None) -> list[str]:
    lines = []
    if attributes.med is not None:
        lines.append(f"set metric {attributes.med}")
    if attributes.next_hop is not None and (attributes.next_hop.version == 4) == (family == "ipv4"):
        hop = "ip next-hop" if family == "ipv4" else "ipv6 next-hop global"
        lines.append(f"set {hop} {attributes.next_hop}")
    if attributes.local_pref is not None:
        lines.append(f"set local-preference {attributes.local_pref}")
    if attributes.prepend:
        lines.append(f"set as-path prepend {' '.join([str(asn)] * attributes.prepend)}")
    return lines
