"""Measurement of the time from the start of the daemons until both kernels have the other's routes."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lab.compare.labs import CLIENT, SERVER
from lab.compare.path import TunnelPath
from lab.runtime.lab import Lab

_WITHIN = 60.0


def measure_start(lab: Lab, *, rounds: int) -> tuple[float, ...]:
    """Restart OpenVPN, if there is any, and the routing daemons of a lab, and return the seconds of each round."""
    return tuple(_once(lab) for _ in range(rounds))


def _once(lab: Lab) -> float:
    path = TunnelPath(lab)
    ends = [(lab.router(SERVER), lab.router(CLIENT)), (lab.router(CLIENT), lab.router(SERVER))]
    for here, _ in ends:
        here.daemon.stop(here.running, "TERM")  # removes its routes, also those through a device that stays
    if path.tunnel is not None:
        path.tunnel.stop()  # removes its device, and the routes through it
    for here, there in ends:
        here.expect_not_in_fib(there.plan.networks, within=_WITHIN)
    starts: list[Callable[[], None]] = [] if path.tunnel is None else [path.tunnel.start]
    starts += [partial(here.daemon.start, here.running, here.plan) for here, _ in ends]
    with ThreadPoolExecutor() as pool:
        since = time.monotonic()
        started = [pool.submit(start) for start in starts]
        for here, there in ends:
            wanted = path.carried(there.plan.networks)
            here.expect_in_fib(wanted, via=path.device(here.name), within=_WITHIN, since=since)
        took = time.monotonic() - since
        for future in started:
            future.result()
    return took
