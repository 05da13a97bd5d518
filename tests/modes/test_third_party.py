"""A lab with a mode and a routing daemon from other distributions: the tunnel comes up and routes pass."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.catalogue.files import find_topology
from lab.catalogue.load import load
from lab.core.process import this_process
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
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Two sites with a tunnel in the mode `p2p-tap`: hq runs the daemon `birdc`, branch FRR."""
    with installed("mode", "daemon"):
        name = new_name()
        text = find_topology("p2p-tls").read_text()
        file = tmp_path / f"{name}.clab.yml"
        file.write_text(text.replace("daemon: frr", "daemon: birdc", 1).replace("mode: p2p-tls", "mode: p2p-tap"))
        deployed = Lab.deploy(load(file, name=name, openvpn="2.7"), owner=this_process())
        try:
            yield deployed
        finally:
            deployed.destroy()


def test_lab_of_third_party_mode_and_daemon_exchanges_prefixes(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    hq, branch = ends(lab, tunnel)
    assert tunnel.status().cipher == "AES-256-GCM"
    assert (tunnel.mode.name, tunnel.device("hq")) == ("p2p-tap", "tap0")
    assert (hq.router.daemon.name, branch.router.daemon.name) == ("birdc", "frr")
    expect_one_session_for_both_families(tunnel, hq, branch)
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
