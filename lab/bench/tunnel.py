"""The tunnel compared with the bare wire: one prefix, BFD, a large table; and the prediction of a plan's duration."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from lab.bench.figure import Figure
from lab.core.prefixes import FAMILIES
from lab.core.progress import Say
from lab.measure.record import RunDirectory, StageName, Trial
from lab.measure.scale import Plan as ScalePlan
from lab.measure.scale import lines
from lab.measure.scale import run as run_scale
from lab.measure.trials.plan import Plan
from lab.measure.trials.runner import run

_MS = 1000.0


def convergence(*, trials: int, say: Say) -> list[Figure]:
    """Measure one prefix over tunnel and bare wire, BFD over the tunnel, and the predicted duration of the plan."""
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
        figures.append(Figure(f"one {name} prefix, event to FIB, ratio to the bare wire", "", ratios, "at most 2"))
    detected = [at * _MS for family in FAMILIES for at in _at("detection", trials_of, "blackhole", family, "tunnel")]
    return [
        *figures,
        Figure("BFD 3x100 ms detects a silent blackhole over the tunnel", "ms", tuple(detected), "under 400"),
        Figure("duration of a plan, ratio to its prediction", "", (took / expected,), "2/3 to 4/3"),
    ]


def _at(stage: StageName, trials: Sequence[Trial], event: str, family: str, over: str) -> list[float]:
    """Return when a stage was reached in each trial of a variant; NaN if in none."""
    found = [
        at
        for trial in trials
        if (trial.variant.event, trial.variant.family, trial.variant.over) == (event, family, over)
        and (at := trial.at(stage)) is not None
    ]
    return found or [float("nan")]


def scale(prefixes: int, *, say: Say) -> list[Figure]:
    """Announce a large table over the tunnel and the bare wire."""
    plan = ScalePlan(sizes={"ipv4": (prefixes,)}, trials=1, openvpn="2.7")
    found = [line.ratio for line in lines(run_scale(plan, say=say)) if line.over == "tunnel" and line.ratio is not None]
    values = tuple(found) or (float("nan"),)
    return [Figure(f"{prefixes:,} IPv4 prefixes into the FIB, ratio to the bare wire", "", values, "at most 1.3")]
