"""The bench of engines: its ring, and the engines that it compares."""

from collections.abc import Callable
from ipaddress import ip_interface

import pytest

from lab.bench import engines
from lab.bench.bare import BARE
from lab.bench.ring import MOST_NODES, address, ring
from lab.core.errors import EnvironmentBroken
from lab.engine import ENGINES

IMAGE = "openvpn-routing-lab/node:2.6"


class Runs:
    """An engine that can run."""

    def __init__(self, name: str) -> None:
        self.name = name

    def version(self) -> str:
        """Return a version."""
        return f"{self.name} 1"


class Broken(Runs):
    """An engine that lacks something."""

    def version(self) -> str:
        """Fail."""
        raise EnvironmentBroken(f"{self.name} is not installed")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make only these engines run."""

    def only(*names: str) -> None:
        monkeypatch.setattr(engines, "open_engine", lambda name: (Runs if name in names else Broken)(name))

    return only


@pytest.mark.parametrize("count", [2, 3, 200])
def test_ring_links_each_node_to_the_next(count: int) -> None:
    topology = ring(count, name="ring", image=IMAGE)
    ends = [tuple(f"{e.node}:{e.interface}" for e in link.endpoints) for link in topology.links]
    assert ends == [(f"n{n}:eth1", f"n{n % count + 1}:eth2") for n in range(1, count + 1)]
    for number, link in enumerate(topology.links):
        assert [str(end.ipv4) for end in link.endpoints] == [address(number, 1), address(number, 2)]


def test_links_of_a_ring_have_a_subnet_each() -> None:
    subnets = [ip_interface(address(number, 1)).network for number in range(MOST_NODES)]
    assert len(set(subnets)) == MOST_NODES
    assert all(ip_interface(address(number, 2)).network == subnet for number, subnet in enumerate(subnets))


def test_engines_that_cannot_run_are_left_out_with_the_reason(opened: Callable[..., None]) -> None:
    opened("docker")
    said: list[str] = []
    assert [engine.name for engine in engines.engines_here((), said.append)] == ["docker"]
    assert said == ["without the engine crun: crun is not installed"]


def test_engine_that_was_asked_for_and_cannot_run_is_an_error(opened: Callable[..., None]) -> None:
    opened("docker")
    with pytest.raises(EnvironmentBroken, match="crun is not installed"):
        engines.engines_here(("docker", "crun"), lambda _: None)


def test_no_engine_is_an_error(opened: Callable[..., None]) -> None:
    opened()
    with pytest.raises(EnvironmentBroken, match="no engine can run here"):
        engines.engines_here((), lambda _: None)


def test_each_engine_has_a_baseline() -> None:
    assert set(BARE) == set(ENGINES)
