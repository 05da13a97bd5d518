"""The networks of `topologies/networks`: each loses the packets that its page says, and none once it is mended."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.core.process import this_process
from lab.image import OLD_VERSIONS
from lab.runtime.lab import Lab
from tests.helpers.labs import new_name
from tests.helpers.networks import ALL, Network

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6")]

CONVERGED_WITHIN = 90


@pytest.mark.parametrize("network", ALL, ids=lambda network: network.name)
def test_fault_loses_packets_until_it_is_mended(network: Network, lab_openvpn: str, tmp_path: Path) -> None:
    file = network.copy(tmp_path)
    with deployed(file, lab_openvpn) as lab:
        expect_passes(lab, network.passes)
        for node, prefixes in network.believed.items():
            lab.node(node).expect_in_fib(prefixes, within=CONVERGED_WITHIN)
        for node, prefixes in network.missing.items():
            assert not [p for p in prefixes if lab.node(node).fib.route(p) is not None]
        for source, address in network.lost:
            assert lab.node(source).echo(ip_address(address), count=3).silent, f"{address} answered {source}"
        expect_passes(lab, network.passes)
    network.mend(tmp_path)
    with deployed(file, lab_openvpn) as lab:
        for node, prefixes in (*network.believed.items(), *network.missing.items()):
            lab.node(node).expect_in_fib(prefixes, within=CONVERGED_WITHIN)
        expect_passes(lab, (*network.passes, *network.lost))


@pytest.mark.thorough  # builds one more image for each
@pytest.mark.parametrize("version", OLD_VERSIONS)
@pytest.mark.parametrize("network", ALL, ids=lambda network: network.name)
def test_mended_network_comes_up_on_an_old_version(network: Network, version: str, tmp_path: Path) -> None:
    file = network.copy(tmp_path)
    network.mend(tmp_path)
    with deployed(file, version) as lab:
        for node, prefixes in (*network.believed.items(), *network.missing.items()):
            lab.node(node).expect_in_fib(prefixes, within=CONVERGED_WITHIN)
        expect_passes(lab, (*network.passes, *network.lost))
        for tunnel in lab.tunnels.values():
            for end in (tunnel.server, tunnel.client):
                with end.management() as management:
                    assert f"{management.version()}.".startswith(f"{version}.")


@contextmanager
def deployed(file: Path, openvpn: str) -> Iterator[Lab]:
    """Deploy a topology under a new name during the block."""
    name = new_name()
    topology = load(file, name=name, openvpn=openvpn)
    lab = Lab.deploy(topology, directory=file.parent / "labs" / name, owner=this_process())
    try:
        yield lab
    finally:
        lab.destroy()


def expect_passes(lab: Lab, pairs: tuple[tuple[str, str], ...]) -> None:
    for source, address in pairs:
        lab.node(source).expect_reaches(ip_address(address), within=CONVERGED_WITHIN)
