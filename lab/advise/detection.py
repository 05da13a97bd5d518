"""The time after which BFD gives the other end up, from the intervals of both ends."""

from collections.abc import Sequence

from lab.configs.routing.facts import BfdTimers, BgpNeighbor


def timers_of(neighbors: Sequence[BgpNeighbor]) -> list[BfdTimers]:
    """Return the timers of the other end's session; empty if they are not known, or if several sessions differ."""
    found = [n.bfd_timers for n in neighbors]
    known = [timers for timers in found if timers is not None]
    same = len({(timers.transmit, timers.multiplier) for timers in known}) == 1
    return known[:1] if same and len(known) == len(found) else []


def interval(here: BfdTimers, there: BfdTimers) -> int:
    """Return the longest time between two packets that arrive here, in milliseconds (RFC 5880, section 6.8.7)."""
    return max(here.receive, there.transmit)


def detection_time(here: BgpNeighbor, there: BfdTimers) -> int | None:
    """Return the milliseconds without a packet after which BFD gives the other end up (RFC 5880, section 6.8.4)."""
    return there.multiplier * interval(here.bfd_timers, there) if here.bfd_timers is not None else None
