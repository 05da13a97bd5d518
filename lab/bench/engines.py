"""The engines beside each other and beside what a shell script would run: rings of nodes, and hubs with tunnels.

In each round the engines and their baselines take turns, because hosts are shared and their speed drifts; quote medians
and ratios.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import Final

from lab.bench.bare import BARE, Bare, BareRuntime
from lab.bench.figure import Figure
from lab.bench.ring import ring
from lab.catalogue import vocabulary
from lab.core.errors import EnvironmentBroken
from lab.core.process import this_process
from lab.core.progress import Say
from lab.engine import ENGINES, Engine, open_engine
from lab.image import NODE_IMAGE
from lab.runtime.lab import Lab
from lab.shapes.shape import hub
from lab.shapes.write import Choices, topology_text
from lab.topology import Topology, parse

MIB = 1 << 20
DAEMONS: Final = ("frr", "bird")
_IMAGE: Final = f"{NODE_IMAGE}:2.6"
_READY_WITHIN: Final = 600.0
"""Seconds from the start of the last daemon until all sessions are up: a large hub on a busy host needs minutes."""
_CPU_AIM: Final = 6.0


def engines_here(wanted: Sequence[str], say: Say) -> list[Engine]:
    """Return the engines of these names, or all that can run here; raises `EnvironmentBroken` for one that cannot."""
    found = []
    for name in wanted or ENGINES:
        try:
            engine = open_engine(name)
            engine.version()
        except EnvironmentBroken as error:
            if wanted:
                raise
            say(f"without the engine {name}: {error}")
        else:
            found.append(engine)
    if not found:
        raise EnvironmentBroken("no engine can run here: `lab doctor` says why")
    return found


# --- rings ---------------------------------------------------------------------------------------------------


def rings(counts: Sequence[int], engines: Sequence[Engine], *, rounds: int, say: Say) -> list[Figure]:
    """Start and remove rings of nodes with their links, by each engine and by its baseline."""
    figures: list[Figure] = []
    with ExitStack() as stack:
        bare: dict[str, Bare] = {}
        for engine in engines:
            baseline = bare[engine.name] = BARE[engine.name](engine.provide(_IMAGE, say))
            if isinstance(baseline, BareRuntime):
                stack.callback(baseline.close)
        for number, count in enumerate(counts):
            times: dict[tuple[str, str], list[tuple[float, float]]] = {}
            for round_ in range(rounds + (number == 0)):  # the first one of all warms up: imports and file caches
                for engine in engines:
                    say(f"{count} nodes by {bare[engine.name].program}")
                    without = _timed(bare[engine.name], count)
                    say(f"{count} nodes by the engine {engine.name}")
                    lab = _timed_lab(ring(count, name=f"bench-ring-{count}", image=_IMAGE), engine)
                    if round_ or number:
                        times.setdefault((engine.name, "lab"), []).append(lab)
                        times.setdefault((engine.name, "bare"), []).append(without)
            figures += _ring_figures(count, [engine.name for engine in engines], times, bare)
    return figures


def _ring_figures(
    count: int,
    engines: Sequence[str],
    times: dict[tuple[str, str], list[tuple[float, float]]],
    bare: dict[str, Bare],
) -> Iterator[Figure]:
    for place, direction in enumerate(("up", "down")):
        of = {key: tuple(pair[place] for pair in found) for key, found in times.items()}
        for engine in engines:
            program = bare[engine].program
            yield Figure(f"{count} nodes and links, {direction}: bare {program}", "s", of[engine, "bare"], "")
            yield Figure(f"{count} nodes and links, {direction}: {engine}", "s", of[engine, "lab"], "")
            yield Figure(
                f"{count} nodes and links, {direction}: {engine}, ratio to bare {program}",
                "",
                _ratios(of[engine, "lab"], of[engine, "bare"]),
                "at most 1.3",
            )
        if {"docker", "crun"} <= set(engines):
            yield Figure(
                f"{count} nodes and links, {direction}: crun, ratio to docker",
                "",
                _ratios(of["crun", "lab"], of["docker", "lab"]),
                "at most 0.2",
            )


def _timed(bare: Bare, count: int) -> tuple[float, float]:
    start = time.monotonic()
    try:
        bare.up(count)
    except BaseException:
        with suppress(EnvironmentBroken):
            bare.down(count)
        raise
    up = time.monotonic() - start
    start = time.monotonic()
    bare.down(count)
    return up, time.monotonic() - start


def _timed_lab(topology: Topology, engine: Engine) -> tuple[float, float]:
    start = time.monotonic()
    lab = Lab.deploy(topology, engine=engine, owner=this_process())
    up = time.monotonic() - start
    start = time.monotonic()
    lab.destroy()
    return up, time.monotonic() - start


def _ratios(ours: Sequence[float], base: Sequence[float]) -> tuple[float, ...]:
    return tuple(one / other for one, other in zip(ours, base, strict=True))


# --- hubs ----------------------------------------------------------------------------------------------------


def hubs(counts: Sequence[int], engines: Sequence[Engine], *, rounds: int, say: Say) -> list[Figure]:
    """Start hubs with spokes, a server process each, until all routes are in all FIBs; measure memory per spoke."""
    figures: list[Figure] = []
    for count in counts:
        for daemon in DAEMONS:
            found: dict[str, dict[str, list[float]]] = {engine.name: {} for engine in engines}
            topology = _hub(count, daemon)
            for _ in range(rounds):
                for engine in engines:
                    say(f"a hub with {count} {daemon} spokes, by the engine {engine.name}")
                    for what, value in _timed_hub(topology, engine).items():
                        found[engine.name].setdefault(what, []).append(value)
            figures += _hub_figures(count, daemon, found)
    return figures


def _hub(count: int, daemon: str) -> Topology:
    name = f"bench-hub-{daemon}-{count}"
    text = topology_text(hub(count), Choices(daemon=daemon, hosts=False), name=name, command="lab bench")
    return parse(text, Path(f"{name}.clab.yml"), vocabulary(), environ={})


def _timed_hub(topology: Topology, engine: Engine) -> dict[str, float]:
    start, cpu = time.monotonic(), _processor_time()
    lab = Lab.deploy(topology, engine=engine, wait=False, owner=this_process())
    try:
        lab.wait_ready(within=_READY_WITHIN)
        started = _processor_time() - cpu
        _expect_all_routes(lab)
        up = time.monotonic() - start
        spokes = [tunnel.client for tunnel in topology.tunnels]
        memory = median(engine.memory(lab.instance(spoke)) / MIB for spoke in spokes[:10])
        hub_memory = engine.memory(lab.instance("hub")) / MIB
    finally:
        start = time.monotonic()
        lab.destroy()
    down = time.monotonic() - start
    return {"up": up, "cpu": started, "memory": memory, "hub memory": hub_memory, "down": down}


def _expect_all_routes(lab: Lab) -> None:
    """Wait until each router has the prefixes of all others: also those of a spoke at another spoke."""
    for name, plan in lab.plans.items():
        networks = [prefix for other in lab.plans.values() if other is not plan for prefix in other.networks]
        lab.node(name).expect_in_fib(networks, within=_READY_WITHIN)


def _hub_figures(count: int, daemon: str, found: dict[str, dict[str, list[float]]]) -> Iterator[Figure]:
    what = f"hub with {count} {daemon} spokes"
    for engine, values in found.items():
        of = {key: tuple(series) for key, series in values.items()}
        aim = "under 40" if (count, daemon, engine) == (100, "frr", "crun") else ""
        yield Figure(f"{what}, all routes in all FIBs: {engine}", "s", of["up"], aim)
        yield Figure(f"{what}, down: {engine}", "s", of["down"], "")
        cpu = f"under {_CPU_AIM:g}" if count <= 100 else ""
        yield Figure(f"{what}, the lab's processor time until it is up: {engine}", "s", of["cpu"], cpu)
        yield Figure(f"{what}, memory of a spoke: {engine}", "MiB", of["memory"], "at most 45")
        yield Figure(f"{what}, memory of the hub: {engine}", "MiB", of["hub memory"], "")
    if {"docker", "crun"} <= set(found):
        ratios = _ratios(found["crun"]["up"], found["docker"]["up"])
        yield Figure(f"{what}, all routes in all FIBs: crun, ratio to docker", "", ratios, "")


def _processor_time() -> float:
    """Return the processor time of this process, and of its children that have ended, in seconds."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
