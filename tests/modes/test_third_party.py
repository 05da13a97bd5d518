"""A lab with a mode from another distribution: the tunnel comes up and routes pass."""

from collections.abc import Iterator

import pytest

from lab.catalogue import load
from lab.core.process import this_process
from lab.engine import open_engine
from lab.runtime.lab import Lab
from tests.helpers.labs import new_name
from tests.helpers.thirdparty import installed
from tests.helpers.tunnels import (
    ends,
    expect_lans_reach_each_other,
    expect_one_session_for_both_families,
    expect_prefixes_come_and_go,
)

pytestmark = pytest.mark.docker


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Two sites with a tunnel in the mode `p2p-tap`."""
    with installed("mode"):
        topology = load("p2p-tls", name=new_name(), openvpn="2.7", tunnel={"mode": "p2p-tap"})
        deployed = Lab.deploy(topology, engine=open_engine(), owner=this_process())
        try:
            yield deployed
        finally:
            deployed.destroy()


def test_lab_comes_up_and_prefixes_come_and_go(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    hq, branch = ends(lab, tunnel)
    assert tunnel.status().cipher == "AES-256-GCM"
    assert tunnel.device("hq") == "tap0"
    expect_one_session_for_both_families(tunnel, hq, branch)
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
