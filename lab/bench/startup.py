"""`make bench`: what the lab itself costs, beside a bare `docker run` of the same containers in the same run.

Trials of both kinds are interleaved, since machines are shared and drift; quote medians and ratios.
"""

import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from lab.catalogue.load import load
from lab.core.errors import EnvironmentBroken
from lab.core.progress import Say, quiet
from lab.engine import Engine, open_engine
from lab.runtime.lab import Lab
from lab.topology import NodeIntent, Topology

MIB = 1 << 20


@dataclass(frozen=True)
class Figure:
    """One measured quantity."""

    name: str
    unit: str
    values: tuple[float, ...]
    aim: str
    """What it should reach on two idle cores; a report of a busy machine may miss it."""

    @property
    def median(self) -> float:
        """The value to quote."""
        return median(self.values)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "median": self.median, "min": min(self.values), "max": max(self.values)}


def measure(topology: str = "article", *, trials: int = 5, say: Say = quiet) -> list[Figure]:
    """Deploy a topology some times, in turn with bare containers, and return what it took."""
    engine = open_engine()
    whole = load(topology, name=f"bench-{topology}")
    nodes = whole.nodes.values()
    image = engine.provide(next(node.image for node in nodes if node.image), say)
    bare, built, ready, gone, memory = [], [], [], [], []
    for trial in range(trials + 1):
        say("warming up" if trial == 0 else f"trial {trial} of {trials}")
        runs = {"bare": _bare(whole, image), "built": _timed_deploy(_without_daemons(whole), engine)[0]}
        up, down, used = _timed_deploy(whole, engine)
        if trial == 0:  # file caches and imports
            continue
        bare.append(runs["bare"])
        built.append(runs["built"])
        ready.append(up)
        gone.append(down)
        memory.extend(used)
    return [
        Figure("containers, bare docker run", "s", tuple(bare), ""),
        Figure("containers and wires", "s", tuple(built), ""),
        Figure("ratio of the two, pair by pair", "", tuple(_ratios(built, bare)), "at most 1.3"),
        Figure("up, until all routes are in all FIBs", "s", tuple(ready), "under 4"),
        Figure("down", "s", tuple(gone), "under 1"),
        Figure("memory of a node with OpenVPN and a routing daemon", "MiB", tuple(memory), "at most 45"),
    ]


def _ratios(ours: Iterable[float], theirs: Iterable[float]) -> list[float]:
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def _without_daemons(topology: Topology) -> Topology:
    """The same containers and wires, and nothing that runs in them."""
    nodes = {
        name: node.model_copy(update={"intent": NodeIntent(routes=node.intent.routes)})
        for name, node in topology.nodes.items()
    }
    return topology.model_copy(update={"nodes": nodes, "tunnels": ()})


def _timed_deploy(topology: Topology, engine: Engine) -> tuple[float, float, list[float]]:
    """Seconds up, seconds down, and MiB of each router."""
    start = time.monotonic()
    lab = Lab.deploy(topology, engine=engine)
    up = time.monotonic() - start
    used = [engine.memory(router.running.instance) / MIB for router in lab.routers.values()]
    start = time.monotonic()
    lab.destroy()
    return up, time.monotonic() - start, used


def _bare(topology: Topology, image: str) -> float:
    """Seconds that as many concurrent `docker run`s take, without any network."""
    names = [f"{topology.container_name(node)}-bare" for node in topology.nodes]
    start = time.monotonic()
    try:
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: _docker("run", "--detach", "--network=none", f"--name={name}", image), names))
        return time.monotonic() - start
    finally:
        _docker("rm", "--force", *names)


def _docker(*arguments: str) -> None:
    try:
        subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise EnvironmentBroken("`docker`, the client, is not there: the bench compares the lab with it") from error
    except subprocess.CalledProcessError as error:
        raise EnvironmentBroken(f"`docker {arguments[0]}` failed: {error.stderr.strip()}") from error
