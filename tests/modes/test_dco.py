"""The kernel's data channel: shown where the kernel has it, refused by name where it has not."""

import os

import pytest

from lab.catalogue import load
from lab.engine import open_engine
from lab.errors import NotSupported
from lab.host.doctor import probe_kernel
from lab.lab import Lab
from lab.status import report
from tests.modes.checks import ends, expect_lans_reach_each_other, expect_prefixes_come_and_go, site

pytestmark = [pytest.mark.docker, pytest.mark.convergence]

SWITCHED = {"mode": "dco"}


@pytest.mark.topology("tap-hub", tunnel=SWITCHED, openvpn="2.7")
def test_the_kernel_routes_for_all_spokes(lab: Lab) -> None:
    tunnel, other = lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")
    assert {t.channel for t in report(lab).tunnels} == {"kernel"}
    hub, spoke1 = ends(lab, tunnel)
    spoke2 = site(lab, other, "spoke2")
    expect_lans_reach_each_other(hub, spoke1)
    expect_lans_reach_each_other(spoke1, spoke2)
    expect_prefixes_come_and_go(lab, spoke1, spoke2)


def test_a_kernel_without_it_is_named_and_nothing_is_left() -> None:
    name = f"no-dco-{os.getpid()}"
    engine = open_engine()
    topology = load("tap-hub", name=name, openvpn="2.7", tunnel=SWITCHED)
    features = probe_kernel()
    if isinstance(features, str) or features["ovpn"] is None:
        pytest.skip("this kernel has ovpn devices")
    with pytest.raises(NotSupported, match="mode dco") as refusal:
        Lab.deploy(topology, engine=engine)
    assert refusal.value.feature == "ovpn"
    assert engine.find(name) == []
