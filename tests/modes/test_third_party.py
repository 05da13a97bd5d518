"""A lab with a mode and a routing daemon from other distributions: the tunnel comes up and routes pass."""

from collections.abc import Iterator

import pytest

from lab.catalogue import load
from lab.core.process import this_process
from lab.engine import open_engine
from lab.runtime.lab import Lab
from lab.topology import Topology
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
    """Two sites with a tunnel in the mode `p2p-tap`; the daemon of `branch` is `birdc`."""
    with installed("mode", "daemon"):
        topology = load("p2p-tls", name=new_name(), openvpn="2.7", tunnel={"mode": "p2p-tap"})
        deployed = Lab.deploy(with_daemon(topology, "branch", "birdc"), engine=open_engine(), owner=this_process())
        try:
            yield deployed
        finally:
            deployed.destroy()


def with_daemon(topology: Topology, name: str, daemon: str) -> Topology:
    node = topology.nodes[name]
    assert node.intent.router is not None
    intent = node.intent.model_copy(update={"router": node.intent.router.model_copy(update={"daemon": daemon})})
    return topology.model_copy(update={"nodes": {**topology.nodes, name: node.model_copy(update={"intent": intent})}})


def test_lab_comes_up_and_prefixes_come_and_go(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    hq, branch = ends(lab, tunnel)
    assert tunnel.status().cipher == "AES-256-GCM"
    assert tunnel.device("hq") == "tap0"
    assert (hq.router.daemon.name, branch.router.daemon.name) == ("frr", "birdc")
    expect_one_session_for_both_families(tunnel, hq, branch)
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
    with lab.fault("daemon-killed", node="branch"):
        hq.router.expect_no_route(branch.router.plan.networks)
    hq.router.expect_route(branch.router.plan.networks, via=hq.device)
