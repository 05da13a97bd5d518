"""Convergence over a path with 50 ms and 1% loss, over TCP and UDP, in userspace and with DCO."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_interface

import pytest

from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.status.overview import link_reports, tunnel_reports
from lab.topology import Prefix
from tests.helpers.dco import RATE

pytestmark = [
    pytest.mark.docker,
    pytest.mark.variants,
    pytest.mark.needs_kernel("netem", "ovpn"),
    pytest.mark.topology("far-away.clab.yml", openvpn="2.7"),
]

ONE_WAY = 0.050


def test_data_channel_matches_the_tunnels_name(lab: Lab) -> None:
    carried = {tunnel.name: tunnel.channel for tunnel in tunnel_reports(lab)}
    assert carried == {name: name.partition("-")[0] for name in lab.tunnels}
    assert len(set(carried.values())) == 2


@pytest.fixture
def away(lab: Lab, carried: str, transport: str) -> Iterator[str]:
    """The site whose link has a delay of 50 ms and a loss of 1% in both directions."""
    name = f"{carried}-{transport}"
    with lab.impair(f"{name}:eth1", delay=ONE_WAY * 1000, loss=1):
        in_force = [(found.name, found.figures) for way in link_reports(lab, node=name) for found in way.in_force]
        assert [mechanism for mechanism, _ in in_force] == ["netem", "netem"]
        for _, figures in in_force:
            assert figures["delay"] == pytest.approx(ONE_WAY * 1000, rel=0.01)
            assert figures["loss"] == 1
        yield name
    lab.wait_ready()


@contextmanager
def with_address_in(router: Router, prefixes: Sequence[Prefix]) -> Iterator[None]:
    """Give the router an address in each prefix, in place of a host behind it."""
    addresses = [ip_interface((p[1], p.max_prefixlen)) for p in prefixes]
    router.running.add_addresses("lo", addresses)
    try:
        yield
    finally:
        router.running.remove_addresses("lo", addresses)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("carried", ["userspace", "kernel"])
def test_prefixes_converge_no_faster_than_the_path(lab: Lab, away: str) -> None:
    """One prefix of each family, announced together."""
    branch, hq, hq_lan = lab.router(away), lab.router("hq"), lab.host("hq-lan")
    prefixes = [lab.free_prefix(family) for family in FAMILIES]
    with with_address_in(branch, prefixes):
        with lab.measure("hq", prefixes, probe_from="hq-lan", rate=RATE) as measured:
            branch.announce(prefixes)
        for prefix in prefixes:
            hq_lan.expect_reaches(prefix[1])
        branch.withdraw(prefixes)
        hq.expect_no_route(prefixes)
    assert measured.status != "timed-out", measured.reason
    # No packet is faster than the path; the excess is for reports.
    assert measured.at("fib") >= ONE_WAY - measured.stage("fib").error
    assert measured.at("update") <= measured.at("fib") + measured.stage("fib").error
    packets = measured.data_plane
    assert packets is not None
    assert packets.route_specific.keys() == {str(prefix) for prefix in prefixes}
    for family in FAMILIES:
        branch.expect_reaches(hq_lan.address(family))
