"""Changes of the FIB, followed through a synthetic trace of route events."""

from collections.abc import Sequence
from ipaddress import ip_network
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lab.measure.instrument.changes import follow
from lab.measure.instrument.tape import Reading
from lab.observe.fib import Fib
from lab.observe.rtnetlink import messages, route_message
from lab.topology import Prefix

PREFIXES: Sequence[Prefix] = [ip_network("10.9.0.0/24"), ip_network("2001:db8:9::/64")]
OTHER = ip_network("10.8.0.0/24")
INTERFACES = {1: "tun0", 2: "tun1"}

steps = st.lists(
    st.tuples(st.integers(1, 5_000_000_000), st.sampled_from([0, 1]), st.sampled_from([None, 1, 2])), max_size=30
)
"""Nanoseconds since the previous event, index of the prefix, and its new interface; None if it is gone."""


def reading(at: int, data: bytes) -> Reading:
    return Reading(at, 0, 0, data)


def test_route_messages_survive_a_round_trip() -> None:
    for prefix in PREFIXES:
        (set_, gone) = messages(route_message(prefix, 2, new=True) + route_message(prefix, 2, new=False))
        assert (set_.new, set_.prefix, set_.hops) == (True, prefix, ((None, 2),))  # type: ignore[union-attr]
        assert (gone.new, gone.prefix) == (False, prefix)  # type: ignore[union-attr]


@given(steps)
def test_changes_have_the_times_of_their_messages(
    steps: list[tuple[int, int, int | None]],
) -> None:
    now, trace = 0, []
    expected: list[tuple[float, Prefix, str | None]] = []
    has: dict[Prefix, int | None] = dict.fromkeys(PREFIXES)
    for gap, which, interface in steps:
        now += gap
        prefix, before = PREFIXES[which], has[PREFIXES[which]]
        trace.append(reading(now, route_message(OTHER, 1, new=True)))
        if before is not None:
            trace.append(reading(now, route_message(prefix, before, new=False)))
        if interface is not None:
            trace.append(reading(now, route_message(prefix, interface, new=True)))
        has[prefix] = interface
        if before is not None:
            expected.append((now / 1e9, prefix, None))
        if interface is not None:
            expected.append((now / 1e9, prefix, INTERFACES[interface]))
    history = follow(trace, Fib(INTERFACES.__getitem__), PREFIXES, INTERFACES.__getitem__)
    found = [(c.time, c.prefix, c.entry.interfaces[0] if c.entry else None) for c in history.changes]
    assert found == expected
    for prefix in PREFIXES:
        mine = [change for change in expected if change[1] == prefix]
        settled = history.settled(prefix, 0.0)
        assert (settled.time if settled else None) == (mine[-1][0] if mine else None)
        assert history.settled(prefix, now / 1e9 + 1) is None
        gone_first = [change[2] is None for change in mine]
        assert history.returned(prefix, 0.0) == any(gone and not later for gone, later in pairwise(gone_first))
