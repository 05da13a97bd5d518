"""Convergence over a path with 50 ms and 1% loss, for TCP and UDP, the data in userspace and in the kernel (DCO)."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lab.lab import Lab
from lab.router import FAMILIES
from lab.status import link_reports, tunnel_reports
from tests.kernel.dco import RATE
from tests.modes.checks import ends, expect_lans_reach_each_other

pytestmark = [
    pytest.mark.docker,
    pytest.mark.convergence,
    pytest.mark.needs_kernel("netem", "ovpn"),
    pytest.mark.topology("far-away.clab.yml", openvpn="2.7"),
]

ONE_WAY = 0.050


def test_each_tunnels_data_is_carried_as_its_name_says(lab: Lab) -> None:
    carried = {tunnel.name: tunnel.channel for tunnel in tunnel_reports(lab)}
    assert carried == {name: name.partition("-")[0] for name in lab.tunnels}
    assert len(set(carried.values())) == 2


@pytest.fixture
def away(lab: Lab, carried: str, transport: str) -> Iterator[str]:
    """The site over whose wire each packet takes 50 ms, and one of a hundred is lost, in both directions."""
    name = f"{carried}-{transport}"
    with lab.impair(f"{name}:eth1", delay=ONE_WAY * 1000, loss=1):
        in_force = [[found.name for found in way.in_force] for way in link_reports(lab, node=name)]
        assert in_force == [["netem"], ["netem"]]
        yield name
    lab.wait_ready()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("carried", ["userspace", "kernel"])
def test_prefixes_take_as_long_as_the_path_and_are_there(lab: Lab, away: str) -> None:
    """One of each family, announced at once."""
    hq, branch = ends(lab, lab.tunnel(away, "hq"))
    prefixes = [lab.free_prefix(family) for family in FAMILIES]
    with ExitStack() as served:
        for prefix in prefixes:
            served.enter_context(hq.router.serving(prefix, hq.host))
        with lab.measure(away, prefixes, probe_from=f"{away}-lan", rate=RATE) as measured:
            hq.router.announce(prefixes)
        hq.router.withdraw(prefixes)
        branch.router.expect_no_route(prefixes)
    assert measured.status != "timed-out", measured.reason
    # No packet is faster than the path; how much longer it takes is for reports.
    assert measured.at("fib") >= ONE_WAY - measured.stage("fib").error
    assert measured.at("update") <= measured.at("fib") + measured.stage("fib").error
    packets = measured.data_plane
    assert packets is not None
    assert packets.route_specific.keys() == {str(prefix) for prefix in prefixes}, "packets of both families arrived"
    expect_lans_reach_each_other(hq, branch)
