"""Kernel state of a TCP session at both ends: refused segments and unanswered connections."""

import time
from collections.abc import Mapping

from lab.engine.namespace import Namespace
from lab.observe.counters import DROPPED_BY_TTL, REFUSED_BY_MD5, counters
from lab.observe.sockets import State, sockets

_STEP = 0.05
_TOO_LONG = 0.6
"""Seconds: a daemon may give a connection up before the kernel's first retransmission, which is after a second."""


def refused_by_md5(counted: Mapping[str, int]) -> str:
    """Return the counters of TCP MD5 in words; empty if none counted."""
    found = ((name, counted.get(name, 0), words) for name, words in REFUSED_BY_MD5.items())
    return ", ".join(f"{name}: {count} segments {words}" for name, count, words in found if count)


def new_ttl_drops(namespace: Namespace, within: float) -> int:
    """Return how many segments a kernel drops by their TTL from now on; waits up to `within` seconds for the first."""
    before, end = _ttl_drops(namespace), time.monotonic() + within
    while (now := _ttl_drops(namespace)) == before and time.monotonic() < end:
        time.sleep(_STEP)
    return now - before


def _ttl_drops(namespace: Namespace) -> int:
    return counters(namespace).get(DROPPED_BY_TTL, 0)


def unanswered(namespace: Namespace, port: int, within: float) -> bool:
    """Return whether a connection to a port waits for an answer for too long; looks for one for up to `within` s."""
    began: dict[int, float] = {}
    end = time.monotonic() + within
    while (now := time.monotonic()) < end:
        waiting = [each for each in sockets(namespace, "tcp", State.SYN_SENT) if each.remote.port == port]
        began = {each.local.port: began.get(each.local.port, now) for each in waiting}
        if any(each.retransmitted or now - began[each.local.port] > _TOO_LONG for each in waiting):
            return True
        time.sleep(_STEP)
    return False
