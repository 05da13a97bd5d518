"""Checks of every case of the matrix."""

from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.topology import Prefix
from tests.helpers.matrix import Case
from tests.helpers.tunnels import (
    both_ways,
    ends,
    expect_lans_reach_each_other,
    expect_prefixes_come_and_go,
    session_of,
)


def expect_prefixes_cross_the_tunnel(case: Case, lab: Lab) -> None:
    """Expect prefixes in the RIB, in the FIB through the tunnel, and their traffic, in both families and directions;
    OpenVPN's session stays the same."""
    tunnel = lab.tunnel("branch", "hq")
    hq, branch = ends(lab, tunnel)
    assert (hq.router.plan.daemon, branch.router.plan.daemon) == case.speakers.daemons
    before = session_of(tunnel.status())
    for here, there in both_ways(hq, branch):
        there.router.expect_session(here.router)
        there.router.expect_route(here.router.plan.networks, via=there.device)
        assert originated(here.router) >= set(here.router.plan.networks)
        if case.speakers.kind in ("tcp", "link-local"):
            expect_sessions(case, there.router, here.router)
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
    for site in (hq, branch):
        assert originated(site.router) >= set(site.router.plan.networks)
    assert session_of(tunnel.status()) == before


def expect_sessions(case: Case, router: Router, other: Router) -> None:
    """Expect the declared number of BGP sessions, each over the right kind of address and with its families."""
    sessions = router.neighbors()
    families = [
        (n.address is not None and n.address.version, {f for f in FAMILIES if n.prefixes_received.get(f)})
        for n in sessions
    ]
    if "per-family" in case.speakers.name:
        assert sorted(families) == [(4, {"ipv4"}), (6, {"ipv6"})]
    elif case.speakers.kind == "link-local":
        assert families == [(6, {"ipv4", "ipv6"})]
        assert all(n.address is not None and n.address.is_link_local for n in sessions)
    else:
        assert families == [(4, {"ipv4", "ipv6"})]
    internal = router.plan.asn == other.plan.asn
    assert internal == ("ibgp" in case.speakers.name)
    assert {n.asn for n in sessions} == {other.plan.asn}


def originated(router: Router) -> set[Prefix]:
    """Return the prefixes of both families that a router originates."""
    return {prefix for family in FAMILIES for prefix in router.daemon.originated(router.running, family)}
