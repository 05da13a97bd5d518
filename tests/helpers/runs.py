"""Generated runs: trials drawn from seeded distributions similar to the lab's."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from lab.catalogue import load
from lab.core.prefixes import FAMILIES, Family
from lab.measure.record import (
    STAGES,
    DataPlane,
    Environment,
    Moment,
    Over,
    Run,
    RunDirectory,
    Stage,
    Trial,
    Variant,
)
from lab.render.graph import svg

THEN = datetime(2026, 1, 1, 12, tzinfo=UTC)
ERRORS = {"event": 1e-5, "detection": 1e-4, "update": 5e-5, "rib": 5e-4, "fib": 1e-4, "first-packet": 1e-3}

DETECTION = {"": 0.0005, "bfd 3x100 ms": 0.28, "hold 3 s": 2.7, "hold 9 s": 8.4, "ping-restart 45 s": 44.0}
"""The median in seconds."""
SLOWER: dict[Over, float] = {"wire": 1.0, "vxlan": 1.08, "tunnel": 1.5}


def environment(**changed: str) -> Environment:
    """Return a host."""
    return Environment(
        **{"kernel": "6.18.5", "cpu": "Some CPU @ 2.5 GHz", "engine": "Docker 20.10.24", **changed},
        cpus=2,
        memory=24 << 30,
        python="3.11.7",
        images={"openvpn-routing-lab/node:2.7": "sha256:0123456789ab"},
        versions={"OpenVPN": "2.7.8", "FRR": "10.3"},
    )


def variants(families: tuple[Family, ...], detectors: int) -> Iterator[Variant]:
    """Return some events with detectors, over the tunnel and the baselines."""
    for family in families:
        for event, noticing in (("announce", [""]), ("blackhole", list(DETECTION)[1 : 1 + detectors])):
            for detector in noticing:
                overs: list[Over] = ["tunnel"] if "ping" in detector else ["tunnel", "wire", "vxlan"]
                for over in overs:
                    tunnel = {"mode": "iroute", "openvpn": "2.7"} if over == "tunnel" else {}
                    yield Variant(
                        event=event, detector=detector, family=family, topology="article", over=over, **tunnel
                    )


def trial(variant: Variant, number: int, chance: random.Random, *, slower: float = 1.0) -> Trial:
    """Return a valid trial."""
    late = DETECTION[variant.detector] * chance.uniform(0.9, 1.1)
    way = 0.002 * SLOWER[variant.over] * slower
    at = {"event": 0.0, "detection": late}
    for before, name in pairwise(STAGES[1:]):
        at[name] = at[before] + way * chance.lognormvariate(0, 0.4)
    loss = at["first-packet"] if variant.event == "blackhole" else None
    lost = round((loss or 0) * 1000)
    return Trial(
        variant=variant,
        number=number,
        started=THEN + timedelta(seconds=40 * number),
        status="valid",
        stages=tuple(
            Stage(name=name, node="branch" if at[name] else "hq", at=at[name], error=ERRORS[name], source="netlink")
            for name in STAGES
        ),
        data_plane=DataPlane(
            rate=1000,
            achieved=999.8,
            sent=5000,
            received=5000 - lost,
            lost=lost,
            duplicated=0,
            reordered=0,
            until_back=loss,
            loss_derived=loss,
            error=0.001,
        ),
        timeline=(
            Moment(at=0.0001, node="hq", what="vtysh: network 10.9.0.0/24"),
            Moment(at=at["update"], node="branch", what="UPDATE 10.9.0.0/24 <on tun0> & more"),
        ),
        foreign_load=abs(chance.gauss(0.2, 0.1)),
    )


def trials(
    count: int = 30,
    *,
    seed: int = 1,
    slower: float = 1.0,
    families: tuple[Family, ...] = FAMILIES,
    detectors: int = 4,
) -> list[Trial]:
    """Return trials of all variants in rounds, with a number of detectors.

    The third trial of each is invalid, the fifth timed out, the seventh is flagged.
    """
    chance = random.Random(seed)
    made = []
    for number in range(1, count + 1):
        for variant in variants(families, detectors):
            one = trial(variant, number, chance, slower=slower if variant.over == "tunnel" else 1.0)
            if number == 3:
                one = one.model_copy(update={"status": "invalid", "reason": "the sender fell behind: 870 of 1000 pps"})
            elif number == 5:
                one = one.model_copy(update={"status": "timed-out", "reason": "no route in the FIB within 60 s"})
            elif number == 7:
                one = one.model_copy(update={"flags": ("control and data plane differ by 12 ms",)})
            made.append(one)
    return made


def run(name: str = "synthetic", **changed: str) -> Run:
    """Return the plan of the run."""
    return Run(
        name=name,
        started=THEN,
        plan={"trials": 30, "events": ["announce", "blackhole"]},
        seed=7,
        environment=environment(**changed),
        topologies={"article": svg(load("article"))},
    )


def write(path: Path, made: list[Trial], name: str = "synthetic", **changed: str) -> RunDirectory:
    """Write a run to the disk."""
    directory = RunDirectory(path)
    directory.create(run(name, **changed))
    for one in made:
        with (path / "trials.jsonl").open("a") as file:
            file.write(one.model_dump_json() + "\n")
    return directory
