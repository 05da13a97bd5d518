"""Routes vanish when OpenVPN is killed, and return when it runs again."""

import time

import pytest

from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from lab.tunnel import OpenVpn
from tests.helpers.sites import Site, networks

pytestmark = [pytest.mark.docker, pytest.mark.convergence, pytest.mark.topology("article")]


@pytest.mark.parametrize("end", ["client", "server"])
def test_routes_follow_the_openvpn_process(lab: Lab, hq: Site, branch: Site, end: str) -> None:
    tunnel = lab.tunnel("branch", "hq")
    victim: OpenVpn = getattr(tunnel, end)
    before = tunnel.status()
    learnt = [(hq, networks(branch)), (branch, networks(hq))]
    for site, prefixes in learnt:
        site.router.expect_route(prefixes, via=site.device)

    killed = time.monotonic()
    victim.stop("KILL")
    for site, prefixes in learnt:
        site.router.expect_no_route(prefixes, since=killed)

    started = time.monotonic()
    victim.start()
    for site, prefixes in learnt:
        site.router.expect_route(prefixes, via=site.device, within=60, since=started)
    for family in FAMILIES:
        hq.host.expect_reaches(branch.host.address(family), since=started)

    after = tunnel.status()
    survivor = "server" if end == "client" else "client"
    assert getattr(after, f"{end}_pid") != getattr(before, f"{end}_pid")
    assert getattr(after, f"{survivor}_pid") == getattr(before, f"{survivor}_pid"), "the other end was restarted too"
