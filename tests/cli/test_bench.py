"""`lab bench`: rings and hubs by each engine that can run, beside what its program does alone."""

import json
import math

import pytest

from lab.bench.engines import DAEMONS, engines_here
from lab.core.places import runtime_directory
from lab.engine import all_engines, open_engine
from tests.helpers.program import Program

pytestmark = pytest.mark.docker


def test_bench_of_engines_measures_them_beside_their_programs(lab: Program) -> None:
    sizes = ("--nodes", "3", "--spokes", "2", "--rounds", "1")
    result = lab("bench", "--only", "nodes", "--only", "hubs", *sizes, "--json")
    assert result.returncode == 0, result.stderr
    figures = {figure["name"]: figure for figure in json.loads(result.stdout)}
    assert all(len(f["values"]) == 1 and math.isfinite(f["median"]) and f["median"] > 0 for f in figures.values())
    engines = [engine.name for engine in engines_here((), lambda _: None)]
    assert open_engine().name in engines
    for engine in engines:
        for direction in ("up", "down"):
            ring = f"3 nodes and links, {direction}: "
            (ratio,) = (f for name, f in figures.items() if name.startswith(f"{ring}{engine}, ratio to bare"))
            bare = figures[f"{ring}bare {ratio['name'].partition('bare ')[2]}"]
            assert ratio["median"] == pytest.approx(figures[f"{ring}{engine}"]["median"] / bare["median"])
        for daemon in DAEMONS:
            hub = {
                name.partition(", ")[2].rpartition(":")[0]
                for name in figures
                if name.startswith(f"hub with 2 {daemon} spokes") and name.endswith(f": {engine}")
            }
            assert hub == {
                "all routes in all FIBs",
                "down",
                "the lab's processor time until it is up",
                "memory of a spoke",
                "memory of the hub",
            }
    assert [i.container for engine in all_engines() for i in engine.find() if i.lab.startswith("bench-")] == []
    directory = runtime_directory() / "bench"
    assert not directory.exists() or list(directory.iterdir()) == []
