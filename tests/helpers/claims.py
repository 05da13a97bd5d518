"""Checks that several claims share."""

import time

from lab.claims.claims import Claim
from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from tests.helpers.sites import Site


def expect_dynamic_routing(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    """Check that prefixes of both families come and go in both directions, without a reconnect of the tunnel."""
    before = lab.tunnel("branch", "hq").status()
    for here, there in ((hq, branch), (branch, hq)):
        for family in FAMILIES:
            prefix = lab.free_prefix(family)
            there.router.expect_no_route(prefix)
            with here.router.serving(prefix, here.host) as address, here.router.announced(prefix):
                there.router.expect_route(prefix, via=there.device)
                claim.rib_entry(there.router, prefix)
                claim.echo(there.host.expect_reaches(address))
            there.router.expect_no_route(prefix, since=time.monotonic())
    after = lab.tunnel("branch", "hq").status()
    assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)
