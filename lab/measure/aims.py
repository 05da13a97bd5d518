"""What the instrument and the tunnel should reach, measured: `make bench`.

The instrument is held against events whose time is known: a route that is set by hand, and packets that are dropped for
a while. All else is a plan like any other, and what its records say.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from lab.bench import Figure
from lab.catalogue import load
from lab.engine import open_engine
from lab.lab import Lab
from lab.measure.plan import Plan
from lab.measure.record import RunDirectory, Trial
from lab.measure.runner import run
from lab.measure.scale import Plan as ScalePlan
from lab.measure.scale import lines
from lab.measure.scale import run as run_scale
from lab.node import LabNode
from lab.owner import this_process
from lab.router import FAMILIES
from lab.topology import Family, Prefix

Say = Callable[[str], None]

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
    """A route is set by netlink; its time is known to lie between the call and its return."""
    branch, prefix = lab.node("branch"), lab.free_prefix(family)
    with lab.measure(branch, prefix, rib=False, until="appears") as measured:
        before = time.monotonic()
        _set_route(branch, prefix)
        after = time.monotonic()
        measured.caused(before)
    seen = before + measured.at("fib")
    return max(abs(seen - before), abs(after - seen)) * _MS


def _set_route(node: LabNode, prefix: Prefix) -> None:
    from pyroute2 import IPRoute

    def work() -> None:
        with IPRoute() as ip:
            (index,) = ip.link_lookup(ifname="eth2")
            ip.route("add", dst=str(prefix), oif=index, family=2 if prefix.version == 4 else 10)

    node.running.namespace.run(work)


def _packets_error(lab: Lab, family: Family) -> float:
    """Packets are dropped on the last wire for a while; both ends of it are known to within a netlink call."""
    hq, host = lab.router("hq"), lab.host("hq-lan")
    prefix = lab.free_prefix(family)
    with hq.serving(prefix, host), hq.announced(prefix):
        lab.router("branch").expect_route(prefix)
        lab.host("branch-lan").expect_reaches(host.address(family))
        with lab.measure("branch", prefix, probe_from="branch-lan", until="returns") as measured:
            with lab.fault("link-blackhole", link="hq:eth2") as fault:
                time.sleep(_OUTAGE)
                ending = time.monotonic()
            ended = time.monotonic()
            # The undoing tells its time as well, which is no event of its own here.
            measured.caused(fault.began.since, fault.began.until - fault.began.since)
    assert measured.data_plane is not None
    assert measured.data_plane.loss_derived is not None, measured.reason or measured.flags
    lasted = measured.data_plane.loss_derived
    shortest, longest = ending - fault.began.until, ended - fault.began.since
    return max(lasted - shortest, longest - lasted, 0.0) * _MS


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
