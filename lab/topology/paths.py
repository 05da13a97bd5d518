"""The graph of links: which share a broadcast domain, and where one node meets another."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab.topology.links import End, Wire
from lab.topology.model import Family


@dataclass(frozen=True)
class Meeting:
    """Two ends of two nodes in one broadcast domain."""

    mine: End
    theirs: End


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
    ends = [
        (domain, end) for domain, wire in zip(domains(wires, kinds), wires, strict=True) for end in wire.ends
    ]
    return [
        Meeting(a, b)
        for here, a in ends
        if a.node == mine
        for there, b in ends
        if b.node == theirs and here == there
    ]


def arrival(wires: Sequence[Wire], start: str, goal: str, family: Family | None) -> End | None:
    """Return the end at which the shortest path of links from `start` reaches `goal`; None without a path.

    With a family, the path leaves and arrives through ends that have an address of it.
    """

    def usable(end: End) -> bool:
        return family is None or family in end.damaged or family in end.addresses

    return _search(wires, start, goal, lambda end: end.node not in (start, goal) or usable(end))


def _search(wires: Sequence[Wire], start: str, goal: str, usable: Callable[[End], bool]) -> End | None:
    hops: dict[str, list[tuple[End, End]]] = {}
    for wire in wires:
        if len(wire.ends) == 2:
            a, b = wire.ends
            hops.setdefault(a.node, []).append((a, b))
            hops.setdefault(b.node, []).append((b, a))
    seen, waiting = {start}, deque([start])
    while waiting:
        for here, there in hops.get(waiting.popleft(), ()):
            if there.node in seen or not (usable(here) and usable(there)):
                continue
            if there.node == goal:
                return there
            seen.add(there.node)
            waiting.append(there.node)
    return None
