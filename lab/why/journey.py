"""The way of one packet through the lab, hop by hop, made of where it was captured."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from lab.why.watch import Captured


@dataclass(frozen=True)
class Hop:
    """A node on the way of a packet."""

    node: str
    arrived: Captured | None = None
    """None at its sender."""
    left: Captured | None = None
    """None at its receiver, and where it was lost."""

    @property
    def last(self) -> Captured:
        """The last place on the node where it was captured."""
        found = self.left or self.arrived
        assert found is not None
        return found


def journey(sightings: Iterable[Captured], bridges: Collection[str] = ()) -> tuple[Hop, ...]:
    """Return the hops of one packet in the order of time.

    Frames for another host, which a bridge floods, are left out, except on the bridges themselves.
    """
    hops: list[Hop] = []
    for seen in sightings:
        if seen.raw.foreign and seen.node not in bridges:
            continue
        current = hops[-1] if hops and hops[-1].node == seen.node else None
        if seen.outgoing:
            if current is None:
                hops.append(Hop(seen.node, left=seen))
            elif current.left is None:
                hops[-1] = replace(current, left=seen)
            # Else it is captured again below a device on top of another, as a bridge's.
        elif current is None or current.left is not None:
            hops.append(Hop(seen.node, arrived=seen))
    return tuple(hops)
