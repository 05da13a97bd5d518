"""The choice of what is sent: the images of each command's labs, looked at only if they are wanted."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from lab.claims import spread as claims
from lab.cluster.machine import machine_facts
from lab.cluster.package import own_package
from lab.cluster.ship import Ship
from lab.compare import spread as modes
from lab.compare.survey import Effort
from lab.core.progress import Say, quiet
from lab.engine import Engine
from lab.measure.scale import spread as scale
from lab.measure.scale.run import Plan as Sizes
from lab.measure.trials import spread as trials
from lab.measure.trials.plan import Plan
from lab.tunnel import modes as known_modes

NODE = "openvpn-routing-lab/node"


class Asked(Exception):
    """The images that a command wants to send."""


@pytest.fixture(autouse=True)
def ship(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster: a command ends where it would send."""

    def cargo(_: Ship, images: Iterable[str], __: Say) -> None:
        raise Asked(*sorted(set(images)))

    monkeypatch.setattr(Ship, "cargo", cargo)
    monkeypatch.setattr(trials, "count_workers", lambda _: 1)


CLIENT: Any = None


def test_plan_needs_the_images_of_its_beds(tmp_path: Path) -> None:
    plan = Plan.parse(
        {"name": "it", "events": ["announce"], "openvpn": ["2.6", "2.7"], "detectors": ["bfd 3x100 ms"]}, "it"
    )
    with pytest.raises(Asked) as asked:
        trials.run_on_cluster(plan, tmp_path / "run", CLIENT)
    assert asked.value.args == (f"{NODE}:2.6", f"{NODE}:2.7")


def test_modes_need_the_images_of_their_versions() -> None:
    with pytest.raises(Asked) as asked:
        modes.survey_on_cluster(
            [known_modes()["tap"]],
            CLIENT,
            openvpn=["2.7"],
            transports=["udp"],
            alternatives=["gre"],
            effort=Effort(),
            say=quiet,
        )
    assert asked.value.args == (f"{NODE}:2.7",)


def test_tables_need_the_images_of_both_media() -> None:
    with pytest.raises(Asked) as asked:
        scale.run_on_cluster(Sizes(openvpn="2.7"), CLIENT, into=None, say=quiet)
    assert asked.value.args == (f"{NODE}:2.7",)


TESTS = """
import pytest

@pytest.mark.claims("servers serve")
@pytest.mark.topology("{topology}")
def test_topology(lab):
    pass

@pytest.mark.claims("a version of its own is used")
def test_version(lab_openvpn):
    pass

@pytest.mark.topology("article")
def test_no_claim(lab):
    pass
"""
TOPOLOGY = """
name: mine
topology:
  nodes:
    one: {kind: linux, image: "example.org/tool:1"}
"""


def test_claims_need_the_images_of_their_topologies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.clab.yml").write_text(TOPOLOGY)
    (tmp_path / "test_it.py").write_text(TESTS.format(topology="mine.clab.yml"))
    options = ["-q", "-m", "claims", "-p", "no:cacheprovider", "--lab-openvpn=2.6"]
    with pytest.raises(Asked) as asked:
        claims.run_on_cluster(tmp_path, options, tmp_path / "out", CLIENT, quiet)
    assert asked.value.args == ("example.org/tool:1", f"{NODE}:2.6")


def test_facts_of_a_machine_tell_two_packages_of_a_version_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def version(self) -> str:
            return "none"

    engine: Engine = Silent()  # type: ignore[assignment]
    facts = machine_facts(engine)
    assert own_package().digest.startswith(facts["package"])
    other = own_package.__wrapped__()
    monkeypatch.setattr("lab.cluster.machine.own_package", lambda: type(other)(b"", "0" * 64))
    assert {key for key, value in machine_facts(engine).items() if value != facts[key]} == {"package"}
