"""The graph of links: which share a broadcast domain, and where one node meets another."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.core.prefixes import Family
from lab.topology.links import End, Wire


@dataclass(frozen=True)
class Meeting:
    """Two ends of two nodes in one broadcast domain."""

    mine: End
    theirs: End


def underlay(wires: Sequence[Wire]) -> list[Wire]:
    """Return the links that a tunnel can run over: not the kernel tunnels that run inside one themselves."""
    outside = {address.ip for wire in wires for end in wire.ends for address, _ in end.addresses.values()}

    def runs_inside(wire: Wire) -> bool:
        encapsulation = wire.intent.encapsulation
        return encapsulation is not None and not outside.issuperset(encapsulation.outer)

    return [wire for wire in wires if not runs_inside(wire)]


def domains(wires: Sequence[Wire], kinds: Mapping[str, str]) -> list[str]:
    """Return each link's broadcast domain: links that meet at a bridge share one, bridges in a row too."""
    leader: dict[str, str] = {}

    def find(item: str) -> str:
        while leader.setdefault(item, item) != item:
            item = leader[item]
        return item

    for i, wire in enumerate(wires):
        for end in wire.ends:
            if kinds.get(end.node) == "bridge":
                leader[find(f"link {i}")] = find(f"bridge {end.node}")
    return [find(f"link {i}") for i in range(len(wires))]


def meetings(wires: Sequence[Wire], kinds: Mapping[str, str], mine: str, theirs: str) -> list[Meeting]:
    """Return every pair of ends through which two nodes share a broadcast domain."""
    ends = [(domain, end) for domain, wire in zip(domains(wires, kinds), wires, strict=True) for end in wire.ends]
    return [
        Meeting(a, b) for here, a in ends if a.node == mine for there, b in ends if b.node == theirs and here == there
    ]


def arrival(
    wires: Sequence[Wire],
    kinds: Mapping[str, str],
    start: str,
    goal: str,
    family: Family | None,
    via: str | None = None,
) -> End | None:
    """Return the end at which the shortest path of links from `start` reaches `goal`; None without a path.

    A bridge joins links and makes no path longer. With a family, the path leaves and arrives through ends that
    have an address of it; with `via` it leaves towards this node.
    """

    def usable(end: End) -> bool:
        if family is None or end.node not in (start, goal):
            return True
        return family in end.damaged or family in end.addresses

    hops: dict[str, list[End]] = {}
    for wire in wires:
        if len(wire.ends) == 2 and all(usable(end) for end in wire.ends):
            one, other = wire.ends
            hops.setdefault(one.node, []).append(other)
            hops.setdefault(other.node, []).append(one)
    seen: set[str] = set()
    waiting: deque[tuple[str, End | None]] = deque([(start, None)])
    while waiting:
        node, end = waiting.popleft()
        if node == goal:
            return end
        if node in seen:
            continue
        seen.add(node)
        # Backwards for the bridges, which go to the front of the queue: the file's order decides between equals.
        there = [end for end in hops.get(node, ()) if end.node not in seen]
        if node == start and via is not None:
            there = [end for end in there if end.node == via]
        waiting.extend((end.node, end) for end in there if kinds.get(end.node) != "bridge")
        waiting.extendleft((end.node, end) for end in reversed(there) if kinds.get(end.node) == "bridge")
    return None
