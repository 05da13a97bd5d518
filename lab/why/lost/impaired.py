"""Loss by an impairment of a link, told by the counters of its mechanism before and after."""

from dataclasses import dataclass

from lab.core.errors import LabError
from lab.fault.impaired import directions, requested_impairment, way_of
from lab.impair.oneway import OneWay, read_mechanisms
from lab.topology import Endpoint, Impairment
from lab.why.cause import Cause
from lab.why.lost.place import Place


@dataclass(frozen=True)
class Impaired:
    """A loss by an impairment."""

    cause: Cause
    total: bool
    """True if it loses all packets."""
    clear: str
    """The command that clears it."""


def lost_by_impairment(place: Place, *, neighbour: bool = False) -> Impaired | None:
    """Return the impairment that loses packets where this one was lost: leaving the node, or arriving at it.

    With `neighbour`, in either direction of the link by which it would leave: the search for the neighbour takes both.
    """
    for leaving, arriving, mechanisms in _near(place, neighbour):
        wanted = _requested(place, leaving, arriving)
        if wanted is None or not wanted.loss:
            continue
        try:
            way = way_of(place.lab, leaving, arriving)
            before = _losses(way, mechanisms)
            place.again()
            after = _losses(way, mechanisms)
        except LabError:
            continue
        if before is None or after is None:
            continue
        if after.counted is not None and before.counted is not None and after.counted <= before.counted:
            continue  # nothing was lost here just now
        ends = f"{leaving.node}:{leaving.interface} to {arriving.node}:{arriving.interface}"
        counted = "" if after.counted is None else f", {after.counted} frames lost so far"
        seen = place.sees("impairments", f"{ends}: {wanted}{counted}", leaving.node)
        share = f"{place.lost} of {place.sent} packets" if place.sent > 1 else "packets"
        what = f"loses {share} on the link {ends}: the impairment `{wanted}` is in force"
        clear = f"lab impair {leaving.node}:{leaving.interface} --clear"
        mend = f"clear it with `{clear}`, or lower `loss` in the topology"
        return Impaired(place.cause("impairment", what, mend, seen, node=leaving.node), wanted.loss >= 100, clear)
    return None


Mechanisms = frozenset[str]
_AT_RECEIVER, _AT_SENDER = Mechanisms({"nftables"}), Mechanisms({"netem", "relay"})
"""The mechanisms that lose a packet after it was captured at the receiver, and before it is captured at the sender."""


def _near(place: Place, neighbour: bool) -> list[tuple[Endpoint, Endpoint, Mechanisms]]:
    """Return the directions of links in which the packet can have been lost, and by which mechanisms."""
    name = place.lookup.interface
    if place.hop is not None and place.hop.left is not None:
        name = place.hop.left.interface
    found = []
    for _, leaving, arriving in directions(place.lab.topology):
        if (arriving.node, arriving.interface) == (place.node, place.arrived):
            found.append((leaving, arriving, _AT_RECEIVER))
        if neighbour and (place.node, name) in ((e.node, e.interface) for e in (leaving, arriving)):
            found.append((leaving, arriving, _AT_RECEIVER | _AT_SENDER))
        elif (leaving.node, leaving.interface) == (place.node, name) and not place.received:
            found.append((leaving, arriving, _AT_SENDER))
    return found


def _requested(place: Place, leaving: Endpoint, arriving: Endpoint) -> Impairment | None:
    way = way_of(place.lab, leaving, arriving)
    declared = next(link.impairment(end) for link, end, _ in directions(place.lab.topology) if end == leaving)
    return requested_impairment(place.lab, way, declared)


@dataclass(frozen=True)
class _Losses:
    """The losses of some mechanisms so far."""

    counted: int | None
    """None if they do not count it."""


def _losses(way: OneWay, mechanisms: Mechanisms) -> _Losses | None:
    """Return the frames that some mechanisms of a direction have lost; None if none of them is in force."""
    found = [mechanism.figures for mechanism in read_mechanisms(way) if mechanism.name in mechanisms]
    counted = [each.get(name) for each in found for name in ("lost", "dropped")]
    known = [int(number) for number in counted if number is not None]
    return _Losses(sum(known) if known else None) if found else None
