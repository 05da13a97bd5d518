"""How a router's way to some prefixes changed, from what the recorder read off its netlink socket."""

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
    """A prefix has another way."""

    time: float
    """Seconds of CLOCK_MONOTONIC, as it was read."""
    prefix: Prefix
    entry: FibEntry | None
    """None: it has none any more."""

    def __str__(self) -> str:
        if self.entry is None:
            return f"{self.prefix} gone from the FIB"
        return f"{self.prefix} in the FIB through {', '.join(self.entry.interfaces)}"


@dataclass
class History:
    """All changes of some prefixes, in order; and the interfaces that went up or down meanwhile."""

    changes: list[Change] = field(default_factory=list)
    links: list[tuple[float, str, bool]] = field(default_factory=list)
    """Time, interface, whether it is up."""
    last: dict[Prefix, FibEntry | None] = field(default_factory=dict)
    """The way that each prefix had in the end."""

    def settled(self, prefix: Prefix, since: float) -> Change | None:
        """The change that brought what stayed; None where nothing changed."""
        mine = [change for change in self.changes if change.prefix == prefix and change.time >= since]
        return mine[-1] if mine else None

    def returned(self, prefix: Prefix, since: float) -> bool:
        """Whether a prefix was gone and came again."""
        states = [c.entry is not None for c in self.changes if c.prefix == prefix and c.time >= since]
        return any(not before and after for before, after in pairwise(states))


def follow(
    readings: Sequence[Reading], before: Fib, wanted: Collection[Prefix], name_of: Callable[[int], str]
) -> History:
    """Go through what was read, from the FIB `before` on.

    The kernel does not tell of IPv4 routes that go with their interface: they go when it says that the interface is
    down or without a carrier, which it does in the same breath.
    """
    history = History(last={prefix: before.used(prefix) for prefix in wanted})

    def look(prefixes: Collection[Prefix], time: float) -> None:
        for prefix in prefixes:
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
                    look(wanted, time)
                if up.get(interface) != message.up:
                    history.links.append((time, interface, message.up))
                up[interface] = message.up
    return history
