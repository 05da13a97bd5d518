"""Health checks of nodes on each engine: what their results lead to, and what is left of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.core.expect import Expectation, wait_for
from lab.core.process import this_process
from lab.engine import Engine, NodeState
from lab.runtime.lab import Lab
from tests.helpers.labs import Deploy, Write, new_name, topology

pytestmark = pytest.mark.docker

NODES = """
    nodes:
      patient:
        healthcheck: {test: [CMD, test, -e, /ready], interval: 1, retries: 2, start-period: 3600}
      strict:
        healthcheck: {test: [CMD-SHELL, "echo >>/tries; false"], interval: 1, retries: 3}
      stuck:
        healthcheck: {test: [CMD-SHELL, "sleep 4321; true"], interval: 1, timeout: 1, retries: 1}
      absent:
        healthcheck: {test: [CMD, no-such-program], interval: 1, retries: 1}
      speaking:
        user: nobody
        env: {COLOUR: red}
        healthcheck: {test: [CMD-SHELL, "test $(id -un) = nobody && test $COLOUR = red"], interval: 1, retries: 1}
      none:
        healthcheck: {test: [NONE]}
"""


@pytest.fixture(scope="module")
def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    place = tmp_path_factory.mktemp("health")
    lab = Lab.deploy(
        topology(place, new_name(), NODES), engine=engine, directory=place / "lab", owner=this_process(), wait=False
    )
    yield lab
    lab.destroy()


def becomes(lab: Lab, node: str, state: str) -> None:
    wait_for(
        Expectation(
            what=f"its health to be {state!r}",
            node=node,
            look=lambda: lab.nodes[node].health,
            met=lambda found: found == state,
            seen=str,
        ),
        within=120,
    )


def test_node_is_healthy_when_its_check_passes_and_unhealthy_when_it_fails_again(lab: Lab) -> None:
    """Failures do not count in the start period, which ends with the first check that passes."""
    becomes(lab, "strict", "unhealthy")  # so as many checks of the other node have failed as well
    assert lab.nodes["patient"].health == "starting"
    lab.node("patient").exec("touch", "/ready").raise_on_error()
    becomes(lab, "patient", "healthy")
    lab.node("patient").exec("rm", "/ready").raise_on_error()
    becomes(lab, "patient", "unhealthy")
    lab.node("patient").exec("touch", "/ready").raise_on_error()
    becomes(lab, "patient", "healthy")


def test_node_is_unhealthy_after_as_many_failures_as_the_topology_says(lab: Lab) -> None:
    becomes(lab, "strict", "unhealthy")
    assert len(lab.node("strict").exec("cat", "/tries").raise_on_error().stdout.splitlines()) >= 3


def test_check_that_does_not_end_in_time_has_failed(lab: Lab) -> None:
    becomes(lab, "stuck", "unhealthy")


def test_check_whose_program_is_missing_has_failed(lab: Lab) -> None:
    becomes(lab, "absent", "unhealthy")


def test_check_runs_with_the_settings_of_its_node(lab: Lab) -> None:
    becomes(lab, "speaking", "healthy")


def test_node_without_a_check_has_no_health(lab: Lab) -> None:
    assert lab.nodes["none"].health is None


def test_node_that_has_ended_is_unhealthy(write: Write, deploy: Deploy) -> None:
    ends = "{cmd: 'sh -c \"until [ -e /end ]; do sleep 0.1; done\"', healthcheck: {test: [CMD, 'true'], interval: 1}}"
    lab = deploy(write(f"nodes: {{one: {ends}}}"), wait=False)
    becomes(lab, "one", "healthy")
    lab.node("one").exec("touch", "/end").raise_on_error()
    becomes(lab, "one", "unhealthy")
    # Its parent learns of the end a moment after the watch that writes the health.
    wait_for(
        Expectation(
            what="its end",
            node="one",
            look=lambda: lab.nodes["one"].state,
            met=lambda found: found is NodeState.STOPPED,
        ),
        within=120,
    )


def test_no_check_outlives_its_lab(write: Write, deploy: Deploy) -> None:
    lab = deploy(
        write("nodes: {one: {healthcheck: {test: [CMD, sleep, '9753'], interval: 1, timeout: 600}}}"), wait=False
    )
    container = lab.nodes["one"].container
    running = Expectation("a check", "one", lambda: programs(container), lambda found: "9753" in found)
    wait_for(running, within=120)
    lab.destroy()
    assert not {"9753", container} & programs(container)


def programs(container: str) -> set[str]:
    """Return the last words of checks, and the container, as far as they are in the arguments of processes."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        found |= {word for word in ("9753",) if word in words}
        found |= {container} if any(word.endswith(f"/{container}") for word in words) else set()
    return found
