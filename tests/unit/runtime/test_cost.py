"""The cost of a large lab: what is asked once, and not once for each of its nodes or neighbours."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from lab.catalogue import vocabulary
from lab.cli.up import next_steps
from lab.core.errors import EnvironmentBroken, ExpectationFailed
from lab.engine import Engine, Instance, NodeState
from lab.engine.node import RunningNode
from lab.routing import Neighbor, RouterPlan, plan_routers
from lab.routing.model import DOWN, SessionState
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.shapes.shape import hub
from lab.shapes.write import Choices, topology_text
from lab.topology import Topology, parse
from tests.helpers.paper import PaperEngine

SPOKES = ["spoke1", "spoke2", "spoke3"]


def topology_of(spokes: int) -> Topology:
    text = topology_text(hub(spokes), Choices(), name="cost", command="lab new")
    return parse(text, Path("cost.clab.yml"), vocabulary(), environ={})


class Daemon:
    """A daemon that counts how often it lists its neighbours, of which some are down."""

    def __init__(self, plan: RouterPlan, down: Sequence[str] = (), *, fails: int = 0) -> None:
        self.plan, self.down, self.fails, self.asked = plan, down, fails, 0

    def neighbors(self, _: RunningNode) -> list[Neighbor]:
        """List the neighbours; the first `fails` times raise an error."""
        self.asked += 1
        if self.asked <= self.fails:
            raise EnvironmentBroken("bgpd does not answer")
        up, down = SessionState.ESTABLISHED, DOWN["bgp"]
        return [
            Neighbor(p.address, p.asn, down if p.node in self.down else up, 1.0, 1, {}, "", p.interface)
            for p in self.plan.peers
        ]


def router(daemon: Daemon, topology: Topology) -> Router:
    instance = Instance("cost", "hub", "clab-cost-hub", "image", NodeState.RUNNING, Path("/nonexistent"))
    running = RunningNode(cast(Engine, PaperEngine()), instance)
    return Router(running, topology, cast(Any, None), lambda _: "", daemon.plan, cast(Any, daemon), {})


@pytest.fixture
def three() -> tuple[Topology, RouterPlan]:
    topology = topology_of(3)
    return topology, plan_routers(topology)["hub"]


def test_sessions_with_all_neighbours_cost_one_question(three: tuple[Topology, RouterPlan]) -> None:
    topology, plan = three
    daemon = Daemon(plan)
    router(daemon, topology).expect_sessions(SPOKES)
    assert daemon.asked == 1


def test_session_that_is_down_fails_by_its_name(three: tuple[Topology, RouterPlan]) -> None:
    topology, plan = three
    daemon = Daemon(plan, down=["spoke2"])
    with pytest.raises(ExpectationFailed, match="the BGP session with spoke2 to be up"):
        router(daemon, topology).expect_sessions(SPOKES, within=0.05)


def test_sessions_are_asked_for_again_if_the_daemon_does_not_answer(three: tuple[Topology, RouterPlan]) -> None:
    topology, plan = three
    daemon = Daemon(plan, fails=2)
    router(daemon, topology).expect_sessions(SPOKES)
    assert daemon.asked > 2


def test_session_without_a_neighbour_is_not_taken_for_up(three: tuple[Topology, RouterPlan]) -> None:
    topology, plan = three
    daemon = Daemon(replace(plan, peers=plan.peers[:2]))
    with pytest.raises(ExpectationFailed, match="no session with spoke3"):
        router(daemon, topology).expect_sessions(SPOKES, within=0.05)


def test_answer_after_the_deadline_does_not_count(three: tuple[Topology, RouterPlan]) -> None:
    topology, plan = three
    with pytest.raises(ExpectationFailed, match="late"):
        router(Daemon(plan), topology).expect_sessions(SPOKES, within=1.0, since=-1e9)


class CountingEngine(PaperEngine):
    """An engine that counts how often it lists its nodes."""

    found = 0

    def find(self, lab: str | None = None) -> list[Instance]:
        """Return nodes, and count."""
        self.found += 1
        return super().find(lab)


def listings(spokes: int, directory: Path) -> int:
    """Return how often the suggestions of `lab up` list the nodes of a lab that has hosts."""
    engine, topology = CountingEngine(), topology_of(spokes)
    image = "openvpn-routing-lab/node:2.6"
    engine.instances = [
        Instance("cost", node, f"clab-cost-{node}", image, NodeState.RUNNING, directory) for node in topology.nodes
    ]
    lab = Lab(topology, cast(Engine, engine), directory, cast(Any, None), {i.node: i for i in engine.instances})
    assert next_steps(lab)
    return engine.found


def test_suggestions_list_the_nodes_as_often_for_a_large_lab(tmp_path: Path) -> None:
    assert listings(20, tmp_path) == listings(2, tmp_path)
