"""The session, and prefixes of both families that appear and disappear across the tunnel."""

import time

import pytest

from lab.routing import SessionState
from lab.runtime.lab import Lab
from lab.topology import Family
from tests.helpers.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.convergence, pytest.mark.topology("article")]


def test_one_session_carries_both_families(hq: Site, branch: Site) -> None:
    for here, there in ((hq, branch), (branch, hq)):
        sessions = here.router.neighbors()
        assert len(sessions) == 1
        assert sessions[0].state is SessionState.ESTABLISHED
        assert sessions[0].prefixes_received == {"ipv4": 1, "ipv6": 1}
        assert sessions[0].asn == there.router.plan.asn


def test_session_uses_the_inner_addresses(lab: Lab, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq").tunnel
    assert hq.router.neighbor("branch").address == tunnel.client_ipv4.ip
    assert branch.router.neighbor("hq").address == tunnel.server_ipv4.ip


def test_lan_reaches_lan(family: Family, direction: tuple[Site, Site]) -> None:
    here, there = direction
    here.host.expect_reaches(there.host.address(family))


def test_prefix_appears_and_disappears(lab: Lab, family: Family, direction: tuple[Site, Site]) -> None:
    """In the BGP RIB, the kernel's FIB and on packets, without a change of the tunnel's session."""
    here, there = direction
    tunnel = lab.tunnel("branch", "hq")
    before = tunnel.status()
    prefix = lab.free_prefix(family)

    with here.router.serving(prefix, here.host) as address:
        there.router.expect_no_route(prefix)
        assert there.host.echo(address).silent, "the prefix is reachable before it is announced"

        announced = time.monotonic()
        with here.router.announced(prefix):
            there.router.expect_route(prefix, via=there.device, since=announced)
            there.host.expect_reaches(address, since=announced)

        withdrawn = time.monotonic()
        there.router.expect_no_route(prefix, since=withdrawn)
        assert there.host.echo(address, count=3, wait=0.5).silent, "the prefix is reachable after it was withdrawn"

    after = tunnel.status()
    assert (after.server_pid, after.client_pid) == (before.server_pid, before.client_pid)
    assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)


def test_1000_prefixes_of_each_family_at_once(lab: Lab, direction: tuple[Site, Site]) -> None:
    here, there = direction
    before = lab.tunnel("branch", "hq").status()
    prefixes = [*lab.free_prefixes("ipv4", 1000), *lab.free_prefixes("ipv6", 1000)]
    last = {prefix.version: prefix for prefix in prefixes}

    announced = time.monotonic()
    with here.router.announced(prefixes):
        there.router.expect_route(prefixes, via=there.device, within=60, since=announced)
        neighbor = there.router.neighbor(here.router)
        assert neighbor.prefixes_received == {"ipv4": 1001, "ipv6": 1001}
        for prefix in last.values():
            with here.router.serving(prefix, here.host) as address:
                there.host.expect_reaches(address)
    there.router.expect_no_route(prefixes, within=60, since=time.monotonic())

    after = lab.tunnel("branch", "hq").status()
    assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)
