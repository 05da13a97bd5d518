"""Nodes that wait for a node of the lab's to be healthy: its tunnels and sessions are up by then."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.core.errors import CommandFailed
from lab.core.process import this_process
from lab.engine import Engine
from lab.runtime.lab import Lab
from tests.helpers.labs import assert_nothing_left, new_name, topology

pytestmark = pytest.mark.docker

BODY = """
    nodes:
      hq:
        config: {vars: {router: {asn: 65001, networks: [10.1.0.0/24]}}}
      branch:
        config: {vars: {router: {asn: 65002, networks: [10.2.0.0/24]}, tunnels: [{to: hq}]}}
      late:
        stages: {create: {wait-for: [{node: hq, stage: healthy}]}}
        config: {vars: {router: {asn: 65003, networks: [10.3.0.0/24]}, tunnels: [{to: hq}]}}
      lans: {}
      tester:
        cap-add: [NET_ADMIN]
        exec: [ip route add default via 10.2.0.1, ping -c 1 -W 20 10.1.0.1]
        stages: {create: {wait-for: [{node: branch, stage: STAGE}]}}
    links:
      - {endpoints: ["hq:eth1", "branch:eth1"], ipv4: [198.51.100.1/30, 198.51.100.2/30]}
      - {endpoints: ["hq:eth2", "late:eth1"], ipv4: [198.51.100.5/30, 198.51.100.6/30]}
      - {endpoints: ["branch:eth2", "tester:eth1"], ipv4: [10.2.0.1/24, 10.2.0.10/24]}
      - {endpoints: ["hq:eth3", "lans:eth1"], ipv4: [10.1.0.1/24, 10.1.0.10/24]}
      - {endpoints: ["late:eth2", "lans:eth2"], ipv4: [10.3.0.1/24, 10.3.0.10/24]}
"""


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> Iterator[Lab]:
    """A lab whose `tester` sends through the tunnel as soon as it exists: its command would end the deployment."""
    place = tmp_path_factory.mktemp("healthy")
    lab = Lab.deploy(
        topology(place, new_name(), BODY.replace("STAGE", "healthy")),
        engine=engine,
        directory=place / "lab",
        owner=this_process(),
        say=said.append,
    )
    yield lab
    lab.destroy()


def test_node_starts_when_the_others_session_is_up(lab: Lab, said: list[str]) -> None:
    ready = said.index("waiting for tunnels and sessions of branch, hq")
    created = next(i for i, line in enumerate(said) if line.startswith("starting ") and "tester" in line)
    assert ready < created


def test_client_that_waits_for_its_server_is_connected(lab: Lab, said: list[str]) -> None:
    lab.tunnel("late", "hq").wait_connected()
    lab.router("hq").expect_route(lab.plans["late"].networks, via=lab.tunnel("late", "hq").device("hq"))
    lab.router("late").expect_route(lab.plans["branch"].networks)


def test_each_daemon_is_started_once(lab: Lab, said: list[str]) -> None:
    started = [line for line in said if line.startswith(("starting OpenVPN", "starting frr"))]
    assert started == [
        "starting OpenVPN for branch-hq, late-hq",
        "starting frr on hq, branch",
        "starting OpenVPN for late-hq",
        "starting frr on late",
    ]


def test_earlier_stage_does_not_wait_for_them(engine: Engine, tmp_path: Path) -> None:
    unhurried = BODY.replace("        stages: {create: {wait-for: [{node: hq, stage: healthy}]}}\n", "")
    read = topology(tmp_path, new_name(), unhurried.replace("STAGE", "configure"))
    with pytest.raises(CommandFailed, match=r"tester: .*ping"):
        Lab.deploy(read, engine=engine, directory=tmp_path / "lab", owner=this_process())
    assert_nothing_left(read.name, engine, tmp_path / "lab")
