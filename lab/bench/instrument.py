"""The error of the instrument, measured with events whose times are known.

The events are a route that is set by one netlink message, and an outage in which a router drops packets.
"""

import socket
import time
from ipaddress import ip_network
from typing import Self

from lab.bench.figure import Figure
from lab.catalogue import load
from lab.core.errors import EnvironmentBroken
from lab.core.prefixes import FAMILIES
from lab.core.process import this_process
from lab.core.progress import Say
from lab.engine import open_engine
from lab.observe.rtnetlink import route_message
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.topology import Family

_MS = 1000.0
_OUTAGE = 0.25
"""Seconds of the outage."""


def instrument(*, trials: int, say: Say) -> list[Figure]:
    """Measure events with known times; return each trial's error, the larger of its two bounds."""
    say("measuring known events with the instrument")
    topology = load("article", name="bench-instrument")
    lab = Lab.deploy(topology, engine=open_engine(), owner=this_process())
    try:
        routes = [_route_error(lab, family) for _ in range(trials) for family in FAMILIES]
        packets = [_packets_error(lab, family) for _ in range(trials) for family in FAMILIES]
    finally:
        lab.destroy()
    return [
        Figure("error of a route event's time", "ms", tuple(routes), "under 1"),
        Figure(f"error of an outage of {_OUTAGE:g} s, by 1,000 packets/s", "ms", tuple(packets), "under 2"),
    ]


def _route_error(lab: Lab, family: Family) -> float:
    """Set a route by one netlink message, which the kernel carries out before the call returns."""
    branch, prefix = lab.node("branch"), lab.free_prefix(family)
    with _Routes(branch, "eth2") as routes:
        setting = route_message(prefix, routes.index, new=True)
        with lab.measure(branch, prefix, rib=False, until="appears") as measured:
            before, after = routes.send(setting)
            measured.caused(before)
        routes.send(route_message(prefix, routes.index, new=False))
    seen = before + measured.at("fib")
    return max(abs(seen - before), abs(after - seen)) * _MS


def _packets_error(lab: Lab, family: Family) -> float:
    """Drop all packets to a host at the first router: one netlink message sets a blackhole route, another removes it.

    Later routers get the packets after a varying delay.
    """
    hq, host = lab.router("hq"), lab.host("hq-lan")
    prefix = lab.free_prefix(family)
    with hq.serving(prefix, host) as address, hq.announced(prefix), _Routes(lab.node("branch"), "eth2") as routes:
        lab.router("branch").expect_route(prefix)
        lab.host("branch-lan").expect_reaches(address)
        drop, restore = (route_message(ip_network(address), None, new=new) for new in (True, False))
        with lab.measure("branch", prefix, probe_from="branch-lan", until="returns") as measured:
            began = routes.send(drop)
            time.sleep(_OUTAGE)
            ended = routes.send(restore)
            measured.caused(began[0], began[1] - began[0])
    if measured.data_plane is None or measured.data_plane.loss_of_connectivity is None:
        raise EnvironmentBroken(f"the instrument saw no outage: {measured.reason or '; '.join(measured.flags)}")
    measured_outage = measured.data_plane.loss_of_connectivity
    return max(measured_outage - (ended[0] - began[1]), ended[1] - began[0] - measured_outage, 0.0) * _MS


class _Routes:
    """A netlink socket of a node for prepared route messages (rtnetlink(7))."""

    def __init__(self, node: LabNode, interface: str) -> None:
        self._socket = node.running.namespace.run(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        self.index = node.running.namespace.run(lambda: socket.if_nametoindex(interface))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, message: bytes) -> tuple[float, float]:
        """Send a message; return the times just before and just after (CLOCK_MONOTONIC)."""
        before = time.monotonic()
        self._socket.send(message)
        return before, time.monotonic()
