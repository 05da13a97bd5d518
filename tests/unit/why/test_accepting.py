"""A router that takes a neighbour from a range, or finds it on an interface, need not list it while it is down."""

from ipaddress import IPv4Address, ip_address, ip_network
from types import SimpleNamespace
from typing import Any

import pytest

from lab.routing import Peer, RouterPlan
from lab.topology import Timers
from lab.topology.own import OwnNeighbor, OwnRouter
from lab.why.bgp_session import _accepts

SPOKE = SimpleNamespace(name="spoke", addresses=frozenset({ip_address("10.8.0.2"), ip_address("2001:db8::2")}))


def hub(*peers: Peer, own: OwnRouter | None = None) -> Any:
    plan = RouterPlan("hub", "frr", 65000, IPv4Address("10.8.0.1"), (), Timers(), None, peers, own=own)
    return SimpleNamespace(name="hub", router=SimpleNamespace(plan=plan))


def files(neighbor: OwnNeighbor) -> OwnRouter:
    return OwnRouter(node="hub", daemon="frr", protocols=("bgp",), neighbors=(neighbor,))


@pytest.mark.parametrize(
    ("here", "accepts"),
    [
        (hub(Peer("spoke", None, 65001, "tun0")), True),
        (hub(Peer("spoke", ip_address("10.8.0.2"), 65001, "tun0")), False),
        (hub(Peer("other", None, 65001, "tun0")), False),
        (hub(own=files(OwnNeighbor(range=ip_network("10.8.0.0/24")))), True),
        (hub(own=files(OwnNeighbor(range=ip_network("10.9.0.0/24")))), False),
        (hub(own=files(OwnNeighbor(range=ip_network("2001:db8::/64")))), True),
        (hub(own=files(OwnNeighbor(address=ip_address("10.8.0.2")))), False),
    ],
)
def test_neighbour_that_a_router_accepts(here: Any, accepts: bool) -> None:
    assert _accepts(here, SPOKE) is accepts  # type: ignore[arg-type]
