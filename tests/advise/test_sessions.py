"""`lab advise` against sessions of BGP between two clients of a server, and with addresses behind the other end."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lab.advise import RULES, Verdict, subjects_of_topology
from lab.core.expect import Expectation, wait_for
from lab.observe.capture import CapturedPacket
from lab.runtime.lab import Lab
from tests.helpers.advised import ADDRESS, ALL, SERVER, Pair, between, deployed, frr

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6")]

WITHIN = 90
ROUTES = {"s": "ip route 10.2.0.1/32 10.8.0.2\n", "c": "ip route 10.1.0.1/32 10.8.0.1\n"}


def beyond(option: str) -> dict[str, str]:
    """Return routers that have their session between addresses behind both ends."""
    sources = {"s": " neighbor 10.2.0.1 update-source 10.1.0.1\n", "c": " neighbor 10.1.0.1 update-source 10.2.0.1\n"}
    found = between(option, option, at=("10.1.0.1", "10.2.0.1"))
    return {
        end: text.replace(" address-family ipv4", sources[end] + " address-family ipv4", 1) + ROUTES[end]
        for end, text in found.items()
    }


def spokes(option: str) -> dict[str, str]:
    """Return routers of two clients that have a session with each other."""
    found = {}
    for end, asn, far, remote in (("c", 65002, "10.8.0.3", 65003), ("d", 65003, "10.8.0.2", 65002)):
        text = frr(asn, far, remote, ())
        found[end] = (
            text.replace(" address-family", f" neighbor {far} {option}\n address-family", 1) if option else text
        )
    return found


HOP = "ebgp-multihop 2"
PAIRS = (
    Pair("beyond", SERVER, options=ADDRESS + ALL, routers=beyond("")),
    Pair("beyond-far", SERVER, options=ADDRESS + ALL, routers=beyond(HOP)),
    Pair("spokes", SERVER, options=ADDRESS, second=True, routers=spokes("")),
    Pair("spokes-far", SERVER, options=ADDRESS, second=True, routers=spokes(HOP)),
    Pair("spokes-direct", SERVER + "client-to-client\n", options=ADDRESS, second=True, routers=spokes("")),
)
EXPOSED = {"spokes"}


@pytest.fixture
def lab(tmp_path: Path, lab_openvpn: str) -> Iterator[Lab]:
    """All pairs in one lab."""
    with deployed(tmp_path, lab_openvpn, PAIRS) as lab:
        yield lab


def up(lab: Lab, pair: Pair) -> bool:
    """Return whether the client's session is up."""
    return any(neighbor.up for _, neighbor in lab.router(pair.client_node).sessions())


def is_time_exceeded(packet: CapturedPacket) -> bool:
    from scapy.layers.inet import ICMP

    frame = packet.decode()
    return ICMP in frame and frame[ICMP].type == 11


def test_sessions_are_up_if_their_ttl_reaches_the_other_end(lab: Lab) -> None:
    subjects = {subject.name: subject for subject in subjects_of_topology(lab.topology)}
    rule = next(rule for rule in RULES if rule.name == "session-hops")
    spoke = next(pair for pair in PAIRS if pair.name == "spokes")
    for pair in PAIRS:
        tunnel = lab.tunnel(pair.client_node, pair.server_node)
        judgement = rule.judge(subjects[f"{tunnel.name}: client on {pair.client_node}"])
        assert (judgement.verdict is Verdict.EXPOSED) == (pair.name in EXPOSED), (pair.name, judgement)
        assert judgement.verdict is not Verdict.NOT_EXPOSED, (pair.name, judgement)
        if pair.name not in EXPOSED:
            wait_for(
                Expectation(what="a session", node=pair.client_node, look=partial(up, lab, pair), met=bool),
                within=WITHIN,
            )
    with lab.node(spoke.server_node).capture("tun0") as capture:
        capture.expect("a segment whose TTL has ended at the server", is_time_exceeded, within=WITHIN)
    assert not up(lab, spoke)
