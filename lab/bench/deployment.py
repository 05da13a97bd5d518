"""Time and memory of a deployment, compared with a bare `docker run` of the same containers in the same run.

Trials of both are interleaved, because hosts are shared and their speed drifts; quote medians and ratios.
"""

import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from lab.bench.figure import Figure
from lab.catalogue import load
from lab.core.errors import EnvironmentBroken
from lab.core.progress import Say
from lab.engine import Engine, open_engine
from lab.runtime.lab import Lab
from lab.topology import NodeIntent, Topology

MIB = 1 << 20


def deployment(topology: str, *, trials: int, say: Say) -> list[Figure]:
    """Deploy a topology and bare containers in turn, once per trial, after a warm-up trial."""
    engine = open_engine()
    whole = load(topology, name=f"bench-{topology}")
    nodes = whole.nodes.values()
    image = engine.provide(next(node.image for node in nodes if node.image), say)
    bare, built, ready, removed, memory = [], [], [], [], []
    for trial in range(trials + 1):
        say("warming up" if trial == 0 else f"trial {trial} of {trials}")
        runs = {"bare": _time_docker_run(whole, image), "built": _timed_deploy(_without_daemons(whole), engine)[0]}
        up, down, used = _timed_deploy(whole, engine)
        if trial == 0:  # file caches and imports
            continue
        bare.append(runs["bare"])
        built.append(runs["built"])
        ready.append(up)
        removed.append(down)
        memory.extend(used)
    return [
        Figure("containers, bare docker run", "s", tuple(bare), ""),
        Figure("containers and links", "s", tuple(built), ""),
        Figure("containers and links, ratio to bare docker run", "", tuple(_ratios(built, bare)), "at most 1.3"),
        Figure("up, until all routes are in all FIBs", "s", tuple(ready), "under 4"),
        Figure("down", "s", tuple(removed), "under 1"),
        Figure("memory of a node with OpenVPN and a routing daemon", "MiB", tuple(memory), "at most 45"),
    ]


def _ratios(ours: Iterable[float], bare: Iterable[float]) -> list[float]:
    return [our / base for our, base in zip(ours, bare, strict=True)]


def _without_daemons(topology: Topology) -> Topology:
    """Return the topology without OpenVPN and routing daemons: its containers, links and static routes."""
    nodes = {
        name: node.model_copy(update={"intent": NodeIntent(routes=node.intent.routes)})
        for name, node in topology.nodes.items()
    }
    return topology.model_copy(update={"nodes": nodes, "tunnels": ()})


def _timed_deploy(topology: Topology, engine: Engine) -> tuple[float, float, list[float]]:
    """Deploy and destroy; return the seconds up, the seconds down, and the MiB of each router."""
    start = time.monotonic()
    lab = Lab.deploy(topology, engine=engine)
    up = time.monotonic() - start
    used = [engine.memory(router.running.instance) / MIB for router in lab.routers.values()]
    start = time.monotonic()
    lab.destroy()
    return up, time.monotonic() - start, used


def _time_docker_run(topology: Topology, image: str) -> float:
    """Return the seconds that one `docker run` per node takes, all at once and without a network."""
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
        raise EnvironmentBroken(
            "docker CLI not found: install it, because the bench compares a deployment with `docker run`"
        ) from error
    except subprocess.CalledProcessError as error:
        raise EnvironmentBroken(f"`docker {arguments[0]}` failed: {error.stderr.strip()}") from error
