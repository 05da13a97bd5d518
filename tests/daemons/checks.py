"""What is asked of every case of the matrix."""

from lab.lab import Lab
from lab.router import FAMILIES, Router
from lab.topology import Prefix
from tests.matrix import Case
from tests.modes.checks import (
    both_ways,
    ends,
    expect_lans_reach_each_other,
    expect_prefixes_come_and_go,
    session_of,
)


def expect_prefixes_cross_the_tunnel(case: Case, lab: Lab) -> None:
    """In the RIB, in the kernel's FIB through the tunnel, on the wire; both families and directions, and the tunnel
    never notices."""
    tunnel = lab.tunnel("branch", "hq")
    hq, branch = ends(lab, tunnel)
    assert (hq.router.plan.daemon, branch.router.plan.daemon) == case.speakers.daemons
    before = session_of(tunnel.status())
    for here, there in both_ways(hq, branch):
        there.router.expect_session(here.router)
        there.router.expect_route(here.router.plan.networks, via=there.device)
        assert originated(here.router) >= set(here.router.plan.networks)
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
    for site in (hq, branch):
        assert originated(site.router) >= set(site.router.plan.networks)
    assert session_of(tunnel.status()) == before


def originated(router: Router) -> set[Prefix]:
    """What a router announces by itself, in both families."""
    return {prefix for family in FAMILIES for prefix in router.daemon.originated(router.running, family)}
