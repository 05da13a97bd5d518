"""Convergence times from the times of packets and of FIB changes. Pure functions.

The terms are those of RFC 6412 (terminology of data-plane convergence; methods in section 3.5, benchmarks in 3.6) and
of RFC 7747, which uses them for BGP. There the tester sees packets only; here it also causes the event, so the
Convergence Event Instant (RFC 6412, section 3.2.2) is known and not inferred. All times are seconds on one clock.

RFC 6412's times are about traffic that flows again: they count what was lost until then, and there is none where
traffic never came back. It counts duplicated and reordered packets as lost too (section 3.8.1); here they are counted
apart. Two times are not of that RFC: when traffic stopped, if that was later than the event (as in the withdrawal of
RFC 7747, section 5.6), and when it came back. Both are the times at which packets were *sent*, so that the delay of the
path does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

FORWARDING_DELAY = 0.25
"""Seconds after which a packet counts as lost (Forwarding Delay Threshold, RFC 6412, section 3.7.6).

A tunnel over TCP retransmits, and may deliver packets seconds later.
"""
SAMPLING_INTERVAL = 0.01
"""Seconds of the Packet Sampling Interval (RFC 6412, section 3.7.4), which should be as small as possible: ten packets
of each prefix at the lowest rate of a plan."""
CLOSE = 0.01
"""Seconds between a lost packet and its cause: the event, or a change of the route."""
_CHANCE = 0.01
"""Number of runs of lost packets to be expected by chance, from which on such a run is not taken for an outage."""


@dataclass(frozen=True)
class Counts:
    """Packet counts of a stream; `received` counts each packet once, and late packets not at all."""

    sent: int
    received: int
    lost: int
    duplicated: int
    """Copies beyond the first."""
    reordered: int
    """Packets that arrived after one that was sent later (Type-P-Reordered, RFC 4737, section 3)."""


@dataclass(frozen=True)
class Stream:
    """The probe packets to one prefix."""

    prefix: str
    sent: Sequence[float]
    """Time at which each packet was sent, indexed by sequence number; never decreasing."""
    arrivals: Sequence[tuple[float, int]]
    """Time and sequence number of each packet that arrived, in the order of arrival."""
    threshold: float = FORWARDING_DELAY
    unsure: frozenset[int] = frozenset()
    """Sequence numbers of packets whose time of sending is not known: they do not count at all."""
    changes: Sequence[float] = ()
    """Times at which the route to the prefix changed; see `outage`."""

    @cached_property
    def arrived(self) -> dict[int, float]:
        """Time at which each packet first arrived, by sequence number; without those that arrived too late."""
        first: dict[int, float] = {}
        for time, number in self.arrivals:
            if number not in first and number not in self.unsure and time - self.sent[number] <= self.threshold:
                first[number] = time
        return first

    def since(self, event: float) -> range:
        """Return the sequence numbers of the packets that were sent at the event or later."""
        low, high = 0, len(self.sent)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.sent[middle] < event else (low, middle)
        return range(low, len(self.sent))

    def counts(self, event: float) -> Counts:
        """Count the packets that were sent since the event."""
        numbers = self.since(event)
        sent = len(numbers) - sum(number in numbers for number in self.unsure)
        received = sum(number in self.arrived for number in numbers)
        duplicated = reordered = 0
        seen: set[int] = set()
        latest = -1
        for _, number in self.arrivals:
            if number in self.unsure:
                continue
            if number in numbers:
                duplicated += number in seen
                reordered += number not in seen and number < latest
            seen.add(number)
            latest = max(latest, number)
        return Counts(sent, received, sent - received, duplicated, reordered)

    @cached_property
    def _losses(self) -> list[range]:
        """All runs of packets lost in a row; those of unknown time neither count nor end a run."""
        runs: list[range] = []
        start: int | None = None
        for number in range(len(self.sent) + 1):
            if number in self.unsure:
                continue
            if number < len(self.sent) and number not in self.arrived:
                start = number if start is None else start
            elif start is not None:
                runs.append(range(start, number))
                start = None
        return runs

    def losses(self, event: float) -> list[range]:
        """Return the runs of packets lost in a row since the event, the longest first."""
        first = self.since(event).start
        runs = [range(max(first, run.start), run.stop) for run in self._losses if run.stop > first]
        return sorted(runs, key=len, reverse=True)

    def outage(self, event: float) -> range | None:
        """Return the longest run of packets lost since the event that chance does not explain; None without one.

        A link may lose single packets at any time for other reasons.
        """
        return next((run for run in self.losses(event) if not self._by_chance(run, event)), None)

    def _by_chance(self, run: range, event: float) -> bool:
        """Return whether a path that loses packets at random may have lost as many in a row.

        Every other run began with a packet that was lost by chance, unless the event interrupted traffic more than
        once: the number of runs, and not that of their packets, says how often the path loses one. A single packet is
        an outage next to the event or to a change of the route only.
        """
        causes = [self._close_to(cause) for cause in (event, *self.changes)]
        close = any(run.start < near.stop and near.start < run.stop for near in causes)
        places = sum(map(len, causes)) if close else len(self.since(event))
        share = (len(self._losses) - 1) / len(self.sent)
        return (len(run) == 1 and not close) or places * share ** len(run) >= _CHANCE

    def _close_to(self, cause: float) -> range:
        """Return the packets that were sent close to a time, and the one before and the one after them."""
        first, last = self.since(cause - CLOSE).start, self.since(cause + CLOSE).start
        return range(max(0, first - 1), min(len(self.sent), last + 1))

    def recovered(self, event: float) -> int | None:
        """Return the number of the first packet that arrived after the outage; None without an outage or its end."""
        lost = self.outage(event)
        return lost.stop if lost is not None and lost.stop < len(self.sent) else None

    def last_delivered(self, event: float) -> int | None:
        """Return the number of the last packet sent since the event that arrived; None if none did."""
        return next((number for number in reversed(self.since(event)) if number in self.arrived), None)

    def last_before_stop(self, event: float, *, flows: bool) -> int | None:
        """Return the number of the last packet that was sent since the event and delivered before traffic stopped.

        `flows` says that traffic came back: it stopped at the beginning of the outage. None if traffic did not stop, or
        if none of these packets was delivered.
        """
        if not flows:
            last = self.last_delivered(event)
            return last if last is not None and last + 1 < len(self.sent) else None
        lost = self.outage(event)
        return None if lost is None or lost.start == self.since(event).start else lost.start - 1

    def changed(self, event: float, *, flows: bool) -> tuple[float, float] | None:
        """Return the sending times of the last packet before and the first packet after forwarding changed.

        None if no packet shows a change. The delay of packets does not matter: what counts is which of them the router
        forwarded.
        """
        if flows:
            first = self.recovered(event)
            return None if first is None else (self._sent_before(first, event), self.sent[first])
        last = self.last_delivered(event)
        first_lost = self.since(event).start if last is None else last + 1
        return None if first_lost >= len(self.sent) else (self._sent_before(first_lost, event), self.sent[first_lost])

    def _sent_before(self, number: int, event: float) -> float:
        return self.sent[number - 1] if number else event


def until_stopped(streams: Sequence[Stream], event: float, *, flows: bool, error: float) -> float | None:
    """Return how long traffic was still delivered after the event, until it stopped; of several prefixes, the longest.

    `flows` says that traffic came back, so that the stop is the beginning of the outage; without it, traffic stopped
    for good. None if it did not stop, or if it stopped with the event: packets that were sent within `error` seconds of
    the event may have been ahead of it.
    """
    times = []
    for stream in streams:
        last = stream.last_before_stop(event, flows=flows)
        if last is not None:
            times.append(stream.sent[last] - event)
    longest = max(times, default=0.0)
    return longest if longest > error else None


def until_back(streams: Sequence[Stream], event: float) -> float | None:
    """Return when traffic came back: when the first packet after the outage was sent; of several prefixes, the last.

    None if no prefix had an outage, or if one is without packets until the end.
    """
    times = []
    for stream in streams:
        if stream.outage(event) is None:
            continue
        first = stream.recovered(event)
        if first is None:
            return None
        times.append(stream.sent[first] - event)
    return max(times, default=None)


def route_specific(stream: Stream, event: float, rate: float, *, error: float) -> float | None:
    """Route-Specific Convergence Time (RFC 6412, section 3.6.3), by the method of section 3.5.3.

    The number of packets lost since the event, divided by the rate at which the prefix is probed; its error is
    1 / rate. None if nothing was lost, if nothing came back, or if packets were delivered for more than `error` seconds
    after the event: the loss is then shorter than the convergence.
    """
    return loss_derived([stream], event, rate, error=error)


def loss_derived(streams: Sequence[Stream], event: float, rate: float, *, error: float) -> float | None:
    """Loss-Derived Convergence Time (RFC 6412, section 3.6.4), by the method of section 3.5.2.

    All packets lost since the event, divided by the load that was offered to all prefixes: the mean over the routes.
    None if that is zero, if one of the routes did not come back, or if one still delivered packets for more than
    `error` seconds after the event: the loss is then shorter than the convergence.
    """
    if until_stopped(streams, event, flows=True, error=error) is not None:
        return None
    return loss_of_connectivity(streams, event, rate)


def loss_of_connectivity(streams: Sequence[Stream], event: float, rate: float) -> float | None:
    """Loss-Derived Loss of Connectivity Period (RFC 6412, section 3.6.6): how long packets were lost.

    It is as long as the Loss-Derived Convergence Time if traffic stops with the event, and shorter if it stops later.
    None if nothing was lost, or if one of the routes did not come back.
    """
    counts = [stream.counts(event) for stream in streams]
    lost = sum(c.lost for c in counts)
    if not lost or until_back(streams, event) is None:  # the length of the observation is not a time
        return None
    return lost / (rate * len(streams))


def rate_derived(
    streams: Sequence[Stream], event: float, *, interval: float = SAMPLING_INTERVAL, full: float = 1.0
) -> float | None:
    """Full Convergence Time (RFC 6412, section 3.6.1), by the rate-derived method of section 3.5.1.

    From the event to the end of the last sampling interval in which the forwarding rate was not yet the offered load (a
    share `full` of it if a link always loses packets). The true time is up to one interval shorter. The rate of an
    interval counts the packets sent in it, so that varying delay does not look like loss. None if every interval had
    the full rate, or if the last one did not.
    """
    offered: dict[int, int] = {}
    delivered: dict[int, int] = {}
    for stream in streams:
        for number in stream.since(event):
            if number in stream.unsure:
                continue
            index = int((stream.sent[number] - event) / interval)
            offered[index] = offered.get(index, 0) + 1
            delivered[index] = delivered.get(index, 0) + (number in stream.arrived)
    wrong = [i for i, n in offered.items() if delivered[i] < n * full]
    if not wrong or max(wrong) == max(offered):
        return None
    return (max(wrong) + 1) * interval


def first_packet(streams: Sequence[Stream], event: float) -> float | None:
    """Return when the last prefix got its first packet after its outage; None if one had no outage, or no end of it."""
    arrivals = []
    for stream in streams:
        first = stream.recovered(event)
        if first is None:
            return None
        arrivals.append(stream.arrived[first])
    return max(arrivals, default=None)


def disagreement(fib: float, window: tuple[float, float], error: float) -> float:
    """Return by how many seconds control and data plane disagree beyond their common error; 0 if they agree.

    `fib` is the time of the route's change in the FIB, `window` that of the change in forwarding (`Stream.changed`).
    Positive if the packets changed later than the FIB.
    """
    before, after = window
    if fib < before - error:
        return before - error - fib
    if fib > after + error:
        return after + error - fib
    return 0.0
