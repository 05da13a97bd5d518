"""A topology rendered for containerlab comes up as a plain one: all that runs in it is in its files."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from lab.catalogue import load
from lab.core.expect import Expectation, wait_for
from lab.core.process import this_process
from lab.engine import Engine
from lab.render.howto import export
from lab.runtime.lab import Lab
from tests.helpers.labs import new_name

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    place = tmp_path_factory.mktemp("rendered")
    topology = load("frr-bird", name=new_name())
    export(topology, place / "out", target="containerlab")
    file = place / "out" / f"{topology.name}.clab.yml"
    # containerlab does not set the addresses of links, so the nodes must do it.
    file.write_text(re.sub(r"(?m)^ +ipv[46]: .*\n", "", file.read_text()))
    plain = load(file)
    assert not any(end.addresses for link in plain.links for end in link.endpoints)
    lab = Lab.deploy(plain, engine=engine, directory=place / "lab", owner=this_process())
    yield lab
    lab.destroy()


def test_sessions_are_established(lab: Lab) -> None:
    wait_for(
        Expectation(
            what="an established session",
            node="hq",
            look=lambda: lab.node("hq").exec("vtysh", "-c", "show bgp neighbors").stdout,
            met=lambda shown: "BGP state = Established" in shown,
        ),
        within=60,
    )
    assert "Established" in lab.node("branch").exec("birdc", "show", "protocols").stdout


@pytest.mark.parametrize("address", ["10.1.0.10", "2001:db8:1::10"])
def test_both_families_pass(lab: Lab, address: str) -> None:
    test_sessions_are_established(lab)
    lab.node("branch-lan").expect_reaches(ip_address(address))
