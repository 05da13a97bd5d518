"""Changes of a router's routes to some prefixes, from the netlink messages that the recorder read."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lab.measure.instrument.tape import Reading
from lab.observe import FibEntry
from lab.observe.fib import Fib
from lab.observe.rtnetlink import LinkMessage, RouteMessage, messages
from lab.topology import Prefix


@dataclass(frozen=True)
class Change:
    """A change of a prefix's entry in the FIB."""

    time: float
    """Seconds of CLOCK_MONOTONIC when the message was read."""
    prefix: Prefix
    entry: FibEntry | None
    """None if the route is gone."""

    def __str__(self) -> str:
        if self.entry is None:
            return f"{self.prefix} gone from the FIB"
        return f"{self.prefix} in the FIB through {', '.join(self.entry.interfaces)}"


@dataclass
class History:
    """All changes of some prefixes in order, and the interfaces that went up or down in that time."""

    changes: list[Change] = field(default_factory=list)
    links: list[tuple[float, str, bool]] = field(default_factory=list)
    """Time, interface, and True if it is up."""
    last: dict[Prefix, FibEntry | None] = field(default_factory=dict)
    """The last entry of each prefix."""

    def settled(self, prefix: Prefix, since: float) -> Change | None:
        """Return the last change of a prefix since a time; None if there was none."""
        mine = [change for change in self.changes if change.prefix == prefix and change.time >= since]
        return mine[-1] if mine else None

    def returned(self, prefix: Prefix, since: float) -> bool:
        """Return whether a prefix was withdrawn from the FIB and added again."""
        states = [c.entry is not None for c in self.changes if c.prefix == prefix and c.time >= since]
        return any(not before and after for before, after in pairwise(states))


def follow(
    readings: Sequence[Reading], before: Fib, prefixes: Collection[Prefix], name_of: Callable[[int], str]
) -> History:
    """Replay netlink messages on the FIB `before`, and return the changes of some prefixes.

    The kernel sends no message for IPv4 routes that it deletes together with their interface: they are removed when
    the interface is reported down or without a carrier, which happens at the same time.
    """
    history = History(last={prefix: before.used(prefix) for prefix in prefixes})

    def look(affected: Collection[Prefix], time: float) -> None:
        for prefix in affected:
            entry = before.used(prefix)
            if entry != history.last[prefix]:
                history.changes.append(Change(time, prefix, entry))
                history.last[prefix] = entry

    up: dict[str, bool] = {}
    for reading in readings:
        time = reading.read / 1e9
        for message in messages(reading.data):
            if isinstance(message, RouteMessage):
                before.apply(message, time)
                if message.prefix in history.last:
                    look([message.prefix], time)
            elif isinstance(message, LinkMessage):
                interface = message.name or name_of(message.index)
                if not message.up or not message.carrier:
                    before.drop_interface(interface, objects_only=message.up)
                    look(prefixes, time)
                if up.get(interface) != message.up:
                    history.links.append((time, interface, message.up))
                up[interface] = message.up
    return history
