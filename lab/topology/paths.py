"""The graph of links: broadcast domains, and shortest paths between nodes."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.core.prefixes import Family
from lab.topology.links import DraftEnd, DraftLink
from lab.topology.model import INSIDE


@dataclass(frozen=True)
class SharedSegment:
    """A pair of ends, one per node, in one broadcast domain."""

    mine: DraftEnd
    theirs: DraftEnd


def underlay(links: Sequence[DraftLink]) -> list[DraftLink]:
    """Return the links that a tunnel can run over: all but kernel tunnels that run inside an OpenVPN tunnel."""
    outside = {address.ip for link in links for end in link.ends for address, _ in end.addresses.values()}

    def runs_inside(link: DraftLink) -> bool:
        encapsulation = link.intent.encapsulation
        return encapsulation is not None and not outside.issuperset(encapsulation.outer)

    return [link for link in links if not runs_inside(link)]


def domains(links: Sequence[DraftLink], kinds: Mapping[str, str]) -> list[str]:
    """Return each link's broadcast domain: links at the same bridge, or at connected bridges, share one."""
    leader: dict[str, str] = {}

    def find(item: str) -> str:
        while leader.setdefault(item, item) != item:
            item = leader[item]
        return item

    for i, link in enumerate(links):
        for end in link.ends:
            if kinds.get(end.node) == "bridge" or end.bridge:
                leader[find(f"link {i}")] = find(f"bridge {end.bridge or ''}{INSIDE}{end.node}")
    return [find(f"link {i}") for i in range(len(links))]


def shared_segments(
    links: Sequence[DraftLink], kinds: Mapping[str, str], mine: str, theirs: str
) -> list[SharedSegment]:
    """Return every pair of ends through which two nodes share a broadcast domain."""
    ends = [(domain, end) for domain, link in zip(domains(links, kinds), links, strict=True) for end in link.ends]
    return [
        SharedSegment(a, b)
        for here, a in ends
        if a.node == mine
        for there, b in ends
        if b.node == theirs and here == there
    ]


def path_end(
    links: Sequence[DraftLink],
    kinds: Mapping[str, str],
    start: str,
    goal: str,
    family: Family | None,
    via: str | None = None,
) -> DraftEnd | None:
    """Return the end at which the shortest path of links from `start` reaches `goal`; None without a path.

    Bridges do not count as hops. With a family, the path leaves and arrives through ends with an address of the
    family; with `via` its first hop is this node.
    """

    def usable(end: DraftEnd) -> bool:
        if family is None or end.node not in (start, goal):
            return True
        return family in end.damaged or family in end.addresses

    hops: dict[str, list[DraftEnd]] = {}
    for link in links:
        if len(link.ends) == 2 and all(usable(end) for end in link.ends):
            one, other = link.ends
            hops.setdefault(one.node, []).append(other)
            hops.setdefault(other.node, []).append(one)
    seen: set[str] = set()
    waiting: deque[tuple[str, DraftEnd | None]] = deque([(start, None)])
    while waiting:
        node, end = waiting.popleft()
        if node == goal:
            return end
        if node in seen:
            continue
        seen.add(node)
        # Bridges go to the front of the queue, in reverse: among equal paths the file's order decides.
        there = [end for end in hops.get(node, ()) if end.node not in seen]
        if node == start and via is not None:
            there = [end for end in there if end.node == via]
        waiting.extend((end.node, end) for end in there if kinds.get(end.node) != "bridge")
        waiting.extendleft((end.node, end) for end in reversed(there) if kinds.get(end.node) == "bridge")
    return None
