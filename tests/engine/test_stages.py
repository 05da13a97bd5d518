"""Stages: nodes wait for each other, with links that exist before the node at their other end, and commands between."""

import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.core.process import this_process
from lab.engine import Engine, NodeState
from lab.runtime.lab import Lab
from lab.status.overview import report
from tests.helpers.labs import Deploy, Write, new_name, topology

pytestmark = pytest.mark.docker

BODY = """
    nodes:
      first:
        healthcheck: {test: [CMD-SHELL, "test -e /ready && (test -e /passed || cp /proc/uptime /passed)"], interval: 1}
        exec: [ip link show eth1 >/alone]
        stages:
          create: {exec: [{command: touch /created-__clabNodeName__, phase: on-exit}]}
          create-links:
            exec:
              - {command: sh -c 'ls /created-first /sys/class/net >/before'}
              - {command: sh -c 'ls /sys/class/net >/after', phase: on-exit}
              - {command: nonsense, phase: on-exit}
          configure: {exec: [{command: touch /ready}]}
          healthy: {exec: [{command: touch /healthy, phase: on-exit}]}
      second:
        stages: {create: {wait-for: [{node: first, stage: healthy}]}}
      once: {entrypoint: "", cmd: cp /proc/uptime /shared/ended, binds: [shared:/shared], restart-policy: "no"}
      last:
        stages:
          create-links:
            wait-for: [{node: once, stage: exit}, {node: second, stage: configure}]
            exec: [{command: cp /proc/uptime /linked}]
      switch: {kind: bridge}
    links:
      - {endpoints: ["second:eth1", "first:eth1"], ipv4: [192.0.2.2/30, 192.0.2.1/30], mtu: 1400}
      - {endpoints: ["first:eth2", "switch:p1"], ipv4: [198.51.100.1/24]}
      - {endpoints: ["switch:p2", "last:eth1"], ipv4: ["", 198.51.100.2/24]}
"""


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> Iterator[Lab]:
    place = tmp_path_factory.mktemp("stages")
    (place / "shared").mkdir()
    wanted = topology(place, new_name(), BODY)
    lab = Lab.deploy(wanted, engine=engine, directory=place / "lab", owner=this_process(), say=said.append)
    yield lab
    lab.destroy()


def started(lab: Lab, node: str) -> float:
    """Return when a node's first process started, in seconds since the host's (proc(5), "stat", field 22)."""
    fields = Path(f"/proc/{lab.nodes[node].pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def noted(uptime: str) -> float:
    """Return the seconds since the host's start that were read from /proc/uptime."""
    return float(uptime.split()[0])


def lines(lab: Lab, file: str) -> list[str]:
    return lab.node("first").exec("cat", file).raise_on_error().stdout.split()


def test_node_starts_after_the_other_is_healthy(lab: Lab) -> None:
    passed = lab.node("first").exec("cat", "/passed").raise_on_error().stdout
    assert noted(passed) <= started(lab, "second")
    assert lab.nodes["first"].health == "healthy"
    assert lines(lab, "/healthy") == []


def test_interface_exists_before_the_node_at_its_other_end(lab: Lab) -> None:
    assert "eth1" not in lines(lab, "/before")
    assert {"eth1", "eth2"} <= set(lines(lab, "/after"))
    assert "eth1" in " ".join(lines(lab, "/alone"))


def test_both_ends_are_as_declared(lab: Lab) -> None:
    lab.node("first").expect_reaches(ip_address("192.0.2.2"))
    lab.node("last").expect_reaches(ip_address("198.51.100.1"))
    assert lab.node("second").exec("cat", "/sys/class/net/eth1/mtu").stdout.strip() == "1400"
    shown = lab.node("first").exec("ls", "/sys/class/net").stdout.split()
    assert sorted(shown) == ["eth1", "eth2", "lo"]


def test_command_that_fails_is_told(lab: Lab, said: list[str]) -> None:
    assert [line for line in said if line.startswith("first: `nonsense` ended with")]


def test_node_that_others_wait_to_end_is_no_failure(lab: Lab) -> None:
    found = report(lab)
    (once,) = [node for node in found.nodes if node.name == "once"]
    assert (once.state, once.role, once.up, found.up) == (NodeState.STOPPED, "init", True, True)
    ended = (lab.topology.file.parent / "shared" / "ended").read_text()
    linked = lab.node("last").exec("cat", "/linked").raise_on_error().stdout
    assert noted(ended) <= noted(linked)


def test_wait_for_health_needs_a_check(write: Write, deploy: Deploy) -> None:
    waiting = write(
        """
        nodes: {one: {}, two: {stages: {create: {wait-for: [{node: one, stage: healthy}]}}}}
        links: [{endpoints: ["one:eth1", "two:eth1"]}]
        """
    )
    with pytest.raises(InputError, match="waits for 'one' to be healthy, and it has no health check"):
        deploy(waiting)
