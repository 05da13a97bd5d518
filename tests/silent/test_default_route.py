"""All traffic through the tunnel, by a default route from BGP.

The lab's filter against recursive routing rejects it (`test_route_that_covers_an_outer_address_is_rejected`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network

import pytest

from lab.claims.claims import Claim
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.topology import Prefix
from tests.helpers.article import expect_control_plane, expect_log
from tests.helpers.packets import expect_no_answer
from tests.helpers.sites import Site

pytestmark = [
    pytest.mark.docker,
    pytest.mark.usually("2.6"),
    pytest.mark.topology("narrow.clab.yml", tunnel={"transport": "udp"}),
]

ALL = ip_network("0.0.0.0/0")
RECURSIVE = "Recursive routing detected"


@pytest.fixture(autouse=True)
def no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client accepts routes that cover its server; set before the lab is deployed."""
    monkeypatch.setenv("RECURSION_FILTER", "false")


@pytest.mark.claims("BGP can announce a default route over the tunnel")
def test_default_route_over_the_tunnel(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    to_server = ip_network(tunnel.tunnel.server_outer)
    unannounced = lab.free_prefix("ipv4")
    with hq.router.serving(unannounced, hq.host) as address:
        expect_no_answer(branch.host, address, "no default route is announced", count=3)
        before = tunnel.status()
        with hq.router.announced(ALL):
            branch.router.expect_route(ALL, via=branch.device)
            claim.rib_entry(branch.router, ALL)
            claim.echo(branch.host.expect_reaches(address))
        branch.router.expect_no_route(ALL)
        after = tunnel.status()
        assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)

        # Without the static route to the server, its address is covered by the default route.
        size = tunnel.client.log_size()
        with hq.router.announced(ALL):
            branch.router.expect_route(ALL, via=branch.device)
            with without(branch.router, to_server):
                claim.log_line(tunnel.client, expect_log(tunnel.client, RECURSIVE, size))
            expect_control_plane(lab, hq, branch)
            branch.host.expect_reaches(address)
    expect_control_plane(lab, hq, branch)
    claim.holds_if(
        "if the client has a more specific route to the server outside the tunnel, and no filter rejects the default "
        "route"
    )


@contextmanager
def without(router: Router, prefix: Prefix) -> Iterator[None]:
    """Delete a static route during the block."""
    route = router.fib.route(prefix)
    assert route is not None
    router.exec("ip", "route", "del", str(prefix)).raise_on_error()
    try:
        yield
    finally:
        router.exec("ip", "route", "add", str(prefix), "via", str(route.next_hops[0])).raise_on_error()
