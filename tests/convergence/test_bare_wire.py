"""Baselines without OpenVPN: peering over a link or a kernel tunnel, and BFD."""

import json
from typing import Any

import pytest
from scapy.layers.inet import UDP

from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.topology import Family

pytestmark = [
    pytest.mark.docker,
    pytest.mark.usually("2.7"),
    pytest.mark.variants,
    pytest.mark.topology("bare-wire.clab.yml"),
]


@pytest.mark.topology("vxlan.clab.yml")
def test_routers_peer_over_a_kernel_tunnel(lab: Lab, family: Family) -> None:
    r1, r2 = lab.router("r1"), lab.router("r2")
    prefix = lab.free_prefix(family)
    with r2.capture("eth1") as outer:
        with r1.announced(prefix):
            r2.expect_route(prefix, via="vx0")
        outer.expect("a packet of VXLAN", lambda packet: _port(packet.decode()) == 4789)
    r2.expect_no_route(prefix)


def test_routers_peer_over_a_marked_link(lab: Lab, family: Family) -> None:
    r1, r2 = lab.router("r1"), lab.router("r2")
    prefix = lab.free_prefix(family)
    with r1.announced(prefix):
        r2.expect_route(prefix, via="eth1")
    r2.expect_no_route(prefix)


def test_bfd_session_is_up_with_the_configured_timers(lab: Lab) -> None:
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


def _port(frame: Any) -> int | None:
    return int(frame[UDP].dport) if UDP in frame else None
