"""The same routers without OpenVPN: peering over a link, and BFD as a topology asks for it."""

import json

import pytest

from lab.expect import Expectation, wait_for
from lab.lab import Lab
from lab.topology import Family

pytestmark = [pytest.mark.docker, pytest.mark.convergence, pytest.mark.topology("bare-wire.clab.yml")]


def test_routers_peer_over_a_marked_link(lab: Lab, family: Family) -> None:
    r1, r2 = lab.router("r1"), lab.router("r2")
    prefix = lab.free_prefix(family)
    with r1.announced(prefix):
        r2.expect_route(prefix, via="eth1")
    r2.expect_no_route(prefix)


def test_bfd_watches_the_session(lab: Lab) -> None:
    r1 = lab.router("r1")

    def peers() -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(r1.exec("vtysh", "-c", "show bfd peers json").stdout)
        return found

    (peer,) = wait_for(
        Expectation(
            what="the BFD session to be up",
            node="r1",
            look=peers,
            met=lambda found: bool(found) and all(p["status"] == "up" for p in found),
        ),
        within=30,
    )
    assert peer["peer"] == "192.0.2.2"
    assert peer["receive-interval"] == peer["transmit-interval"] == 300
    assert peer["detect-multiplier"] == 3
