"""Topologies of `lab new` come up: all routes are in all FIBs, and the LANs reach each other in both families."""

import os
import threading
from collections.abc import Iterator

import pytest

from lab.catalogue import load
from lab.core.prefixes import FAMILIES
from lab.engine import open_engine
from lab.runtime.lab import Lab
from lab.shapes.shape import Shape, chain, dual_homed, hub, mesh, pair, ring
from lab.shapes.write import Choices, topology_text, write_topology

pytestmark = [pytest.mark.docker, pytest.mark.variants]

# Each shape with another mode and daemon: tests/daemons and tests/modes have all modes with all daemons.
CASES = {
    "pair": (pair(), Choices(mode="p2p-static-key", daemon="bird3", transport="tcp")),
    "hub": (hub(3), Choices(mode="iroute", daemon="frr")),
    "shared hub": (hub(2), Choices(mode="tap", daemon="bird")),
    "mesh": (mesh(3), Choices(mode="p2p-tls", daemon="bird")),
    "chain": (chain(3), Choices(mode="iroute", daemon="bird3", transport="tcp")),
    "static chain": (chain(3), Choices(mode="fixed-routes")),
    "ring": (ring(3), Choices(mode="p2p-tls", daemon="frr")),
    "dual-homed": (dual_homed(), Choices(mode="iroute", daemon="frr")),
}


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shape, Choices, Lab]]:
    shape, choices = CASES[request.param]
    name = f"new-{os.getpid()}-{shape.name}"
    file = tmp_path_factory.mktemp("new") / f"{name}.clab.yml"
    write_topology(topology_text(shape, choices, name=name, command="lab new"), file)
    lab = Lab.deploy(load(file), engine=open_engine())
    yield shape, choices, lab
    lab.destroy()


def test_no_node_is_watched_once_the_lab_is_up(case: tuple[Shape, Choices, Lab]) -> None:
    _, _, lab = case
    names = {f"fib-{instance.pid}" for instance in lab.nodes.values()}
    assert not [thread.name for thread in threading.enumerate() if thread.name in names]
    lab.node(lab.topology.tunnels[0].client)
    assert len([thread for thread in threading.enumerate() if thread.name in names]) == 1


def test_all_routes_are_in_all_fibs_and_lans_reach_each_other(case: tuple[Shape, Choices, Lab]) -> None:
    shape, choices, lab = case
    assert set(lab.plans) == (set() if choices.mode == "fixed-routes" else set(shape.routers))
    for router in lab.routers.values():
        for other in lab.routers.values():
            if other.name != router.name:
                router.expect_route(other.plan.networks)
    first, *rest = shape.routers
    for name in rest:
        for family in FAMILIES:
            lab.host(f"{first}-lan").expect_reaches(lab.host(f"{name}-lan").address(family))
