"""What the instrument and the tunnel should reach, measured: `make bench`.

The instrument is held against events whose time is known: a route that is set by hand, and packets that are dropped for
a while. All else is a plan like any other, and what its records say.
"""

import socket
import tempfile
import time
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from statistics import median
from typing import Self

from lab.bench.startup import Figure
from lab.catalogue.load import load
from lab.core.errors import EnvironmentBroken
from lab.core.prefixes import FAMILIES
from lab.core.process import this_process
from lab.core.progress import Say
from lab.engine import open_engine
from lab.measure.scale import Plan as ScalePlan
from lab.measure.scale import lines
from lab.measure.scale import run as run_scale
from lab.measure.trials.plan import Plan
from lab.measure.trials.record import RunDirectory, Trial
from lab.measure.trials.runner import run
from lab.observe.rtnetlink import route_message
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.topology import Family

_MS = 1000.0
_OUTAGE = 0.25
"""Seconds for which packets are dropped, to be found again in what was lost."""


def instrument(*, trials: int, say: Say) -> list[Figure]:
    """By how much the instrument's times differ from those of known events; the largest of a trial's two bounds."""
    say("the instrument beside known events")
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
    """A route is set by one netlink message, which the kernel carries out before the call returns."""
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
    """The first router drops all packets to a host for a while, by one netlink message, and no more by another.

    The first one, since what is on its way behind it is held up now more and now less by who carries it.
    """
    hq, host = lab.router("hq"), lab.host("hq-lan")
    prefix = lab.free_prefix(family)
    with hq.serving(prefix, host) as address, hq.announced(prefix), _Routes(lab.node("branch"), "eth2") as routes:
        lab.router("branch").expect_route(prefix)
        lab.host("branch-lan").expect_reaches(address)
        drop, pass_on = (route_message(ip_network(address), None, new=new) for new in (True, False))
        with lab.measure("branch", prefix, probe_from="branch-lan", until="returns") as measured:
            began = routes.send(drop)
            time.sleep(_OUTAGE)
            ended = routes.send(pass_on)
            measured.caused(began[0], began[1] - began[0])
    if measured.data_plane is None or measured.data_plane.loss_derived is None:
        raise EnvironmentBroken(f"the instrument saw no outage: {measured.reason or '; '.join(measured.flags)}")
    lasted = measured.data_plane.loss_derived
    return max(lasted - (ended[0] - began[1]), ended[1] - began[0] - lasted, 0.0) * _MS


class _Routes:
    """A node's kernel routes, each set by a message that was made before (rtnetlink(7))."""

    def __init__(self, node: LabNode, interface: str) -> None:
        self._socket = node.running.namespace.run(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        self.index = node.running.namespace.run(lambda: socket.if_nametoindex(interface))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, message: bytes) -> tuple[float, float]:
        """Have it done; returns the times just before and just after (CLOCK_MONOTONIC)."""
        before = time.monotonic()
        self._socket.send(message)
        return before, time.monotonic()


def convergence(*, trials: int, say: Say) -> list[Figure]:
    """One prefix beside the bare wire, BFD over the tunnel, and whether the time a plan takes is known beforehand."""
    plan = Plan.parse(
        {
            "name": "bench",
            "openvpn": ["2.7"],
            "events": ["announce", "blackhole"],
            "detectors": ["bfd 3x100 ms"],
            "baselines": ["wire"],
            "trials": trials,
        },
        "bench",
    )
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as scratch:
        directory = RunDirectory(Path(scratch) / "run")
        began = time.monotonic()
        run(plan, directory.path, say=say)
        took = time.monotonic() - began
        trials_of = [trial for trial in directory.trials() if trial.status == "valid"]
        expected = directory.run().expected
    assert expected is not None
    figures = []
    for family, name in (("ipv4", "IPv4"), ("ipv6", "IPv6")):
        tunnel, wire = (_at("fib", trials_of, "announce", family, over) for over in ("tunnel", "wire"))
        ratios = tuple(value / median(wire) for value in tunnel)
        figures.append(Figure(f"one {name} prefix, event to FIB, beside the bare wire", "", ratios, "at most 2"))
    noticed = [at * _MS for family in FAMILIES for at in _at("detection", trials_of, "blackhole", family, "tunnel")]
    return [
        *figures,
        Figure("BFD 3x100 ms notices a silent blackhole over the tunnel", "ms", tuple(noticed), "under 400"),
        Figure("time of a plan, beside what was said before", "", (took / expected,), "2/3 to 4/3"),
    ]


def _at(stage: str, trials: Sequence[Trial], event: str, family: str, over: str) -> list[float]:
    found = [
        at
        for trial in trials
        if (trial.variant.event, trial.variant.family, trial.variant.over) == (event, family, over)
        and (at := trial.at(stage)) is not None  # type: ignore[arg-type]
    ]
    return found or [float("nan")]


def scale(prefixes: int, *, say: Say) -> list[Figure]:
    """A large table over the tunnel, beside the bare wire."""
    plan = ScalePlan(sizes={"ipv4": (prefixes,)}, trials=1, openvpn="2.7")
    found = [line.ratio for line in lines(run_scale(plan, say=say)) if line.over == "tunnel" and line.ratio is not None]
    values = tuple(found) or (float("nan"),)
    return [Figure(f"{prefixes:,} IPv4 prefixes into the FIB, beside the bare wire", "", values, "at most 1.3")]
