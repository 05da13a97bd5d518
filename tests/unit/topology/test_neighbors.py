"""Checks of the protocols of neighbouring routers."""

import re

import pytest

from lab.catalogue import find_topology, vocabulary
from lab.topology import TopologyError, parse
from lab.topology.model import Topology

ARTICLE = find_topology("article").read_text()


def changed(hq: str = "", branch: str = "", options: str = "") -> Topology:
    """Return the article with other routers; each text replaces `asn: …` of its node."""
    text = ARTICLE
    for asn, other in ((65001, hq), (65002, branch)):
        if other:
            text = text.replace(f"asn: {asn}\n", f"{other}\n")
    text = text.replace("iroute: [ipv4, ipv6]", options or "iroute: [ipv4, ipv6]")
    return parse(text, find_topology("article"), vocabulary(), environ={})


def refused(*arguments: str) -> str:
    with pytest.raises(TopologyError) as caught:
        changed(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("protocol", ["ospf", "rip"])
def test_as_number_is_refused_for_other_protocols_than_bgp(protocol: str) -> None:
    topology = changed(f"protocol: {protocol}", f"protocol: {protocol}")
    router = topology.nodes["hq"].intent.router
    assert router is not None
    assert (router.protocol, router.asn) == (protocol, None)
    assert "'asn' is for BGP" in refused(f"{{protocol: {protocol}, asn: 1}}"[1:-1].replace(", ", "\n            "))


def test_routers_with_different_protocols_are_refused() -> None:
    assert "'hq' has 'bgp'" not in refused("protocol: ospf")
    assert "neighbour 'hq' has 'ospf'" in refused("protocol: ospf")
    assert "neighbour 'hq' has 'per-family'" in refused("asn: 65001\n            sessions: per-family")


def test_bfd_at_one_end_only_is_refused() -> None:
    one, other = ("asn: 65001\n            bfd: {}", "asn: 65002\n            bfd: {interval: 100}")
    changed(one, other)
    assert "bfd: its neighbour 'branch' has no 'bfd' and would not answer" in refused(one)
    assert "bfd: its neighbour 'hq' has no 'bfd' and would not answer" in refused("", other)


@pytest.mark.parametrize(
    ("router", "why"),
    [
        ("protocol: ospf", "OSPFv3 sends packets from link-local addresses, which this tunnel does not carry"),
        ("protocol: rip", "RIPng sends packets from link-local addresses, which this tunnel does not carry"),
        ("asn: 65000\n            sessions: unnumbered", "unnumbered BGP sends packets from link-local addresses"),
    ],
)
def test_protocol_that_the_tunnel_does_not_carry_is_refused(router: str, why: str) -> None:
    changed(router, router)
    message = refused(router, router, "iroute: [ipv4]")
    assert why in message
    assert "iroute-ipv6 ::/0" in message
    changed("asn: 65001", "asn: 65002", "iroute: [ipv4]")


def test_unnumbered_session_between_two_birds_is_refused() -> None:
    router = "asn: 65000\n            sessions: unnumbered"
    text = ARTICLE.replace("asn: 65001\n", f"{router}\n").replace("asn: 65002\n", f"{router}\n")
    parse(text.replace("daemon: frr", "daemon: bird", 1), find_topology("article"), vocabulary(), environ={})
    with pytest.raises(TopologyError, match=r"router\.sessions: 'branch' and its neighbour 'hq' would wait for each"):
        parse(text.replace("daemon: frr", "daemon: bird"), find_topology("article"), vocabulary(), environ={})


@pytest.mark.parametrize("router", ["protocol: isis", "asn: 1\n            sessions: many"])
def test_unknown_protocol_or_session_is_refused_with_its_line(router: str) -> None:
    assert re.search(r"article\.clab\.yml:\d+", refused(router))
