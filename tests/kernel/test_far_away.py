"""Convergence over a path with 50 ms and 1% loss, for TCP and UDP, the data in userspace and in the kernel (DCO)."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lab.lab import Lab
from lab.router import FAMILIES
from lab.status import link_reports
from tests.kernel.dco import RATE, expect_kernel
from tests.modes.checks import ends, expect_lans_reach_each_other

pytestmark = [
    pytest.mark.docker,
    pytest.mark.convergence,
    pytest.mark.needs_kernel("netem", "ovpn"),
    pytest.mark.topology("p2p-tls", openvpn="2.7"),  # with what each case says of its tunnel
]

ONE_WAY = 0.050
CASES = [
    pytest.param(
        mode == "dco",
        id=f"{mode}-{transport}",
        marks=pytest.mark.topology("p2p-tls", openvpn="2.7", tunnel={"mode": mode, "transport": transport}),
    )
    for mode in ("p2p-tls", "dco")
    for transport in ("udp", "tcp")
]


@pytest.fixture
def far(lab: Lab) -> Iterator[Lab]:
    """Each packet takes 50 ms over the link, and one of a hundred is lost, in both directions."""
    with lab.impair("branch:eth1", delay=ONE_WAY * 1000, loss=1):
        assert {found.name for link in link_reports(lab) for found in link.in_force} == {"netem"}
        yield lab
    lab.wait_ready()


@pytest.mark.parametrize("kernel", CASES)
def test_prefixes_take_as_long_as_the_path_and_are_there(far: Lab, kernel: bool) -> None:
    """One of each family, announced at once."""
    if kernel:
        expect_kernel(far)
    hq, branch = ends(far, far.tunnel("branch", "hq"))
    prefixes = [far.free_prefix(family) for family in FAMILIES]
    with ExitStack() as served:
        for prefix in prefixes:
            served.enter_context(hq.router.serving(prefix, hq.host))
        with far.measure("branch", prefixes, probe_from="branch-lan", rate=RATE) as measured:
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
