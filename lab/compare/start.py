"""How long it takes from starting the daemons until both kernels have the other's routes."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lab.compare.labs import CLIENT, SERVER
from lab.compare.way import Way
from lab.runtime.lab import Lab

_WITHIN = 60.0


def seconds_to_routes(lab: Lab, *, rounds: int) -> tuple[float, ...]:
    """Stop and start OpenVPN, if there is one, and the routing daemons of a lab; seconds of each round."""
    return tuple(_once(lab) for _ in range(rounds))


def _once(lab: Lab) -> float:
    way = Way(lab)
    ends = [(lab.router(SERVER), lab.router(CLIENT)), (lab.router(CLIENT), lab.router(SERVER))]
    for here, _ in ends:
        here.daemon.stop(here.running, "TERM")  # so that its routes go, also those through a device that stays
    if way.tunnel is not None:
        way.tunnel.stop()  # its device goes, and the routes through it
    for here, there in ends:
        here.expect_not_in_fib(there.plan.networks, within=_WITHIN)
    starts: list[Callable[[], None]] = [] if way.tunnel is None else [way.tunnel.start]
    starts += [partial(here.daemon.start, here.running, here.plan) for here, _ in ends]
    with ThreadPoolExecutor() as pool:
        since = time.monotonic()
        started = [pool.submit(start) for start in starts]
        for here, there in ends:
            wanted = way.carried(there.plan.networks)
            here.expect_in_fib(wanted, via=way.device(here.name), within=_WITHIN, since=since)
        took = time.monotonic() - since
        for future in started:
            future.result()
    return took
