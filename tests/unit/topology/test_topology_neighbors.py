"""Routers: what a file may say of their protocol, and what is refused with its reason."""

import re

import pytest

from lab.catalogue.files import find_topology
from lab.catalogue.load import vocabulary
from lab.topology import TopologyError, parse
from lab.topology.model import Topology

ARTICLE = find_topology("article").read_text()


def changed(hq: str = "", branch: str = "", options: str = "") -> Topology:
    """The article with other routers; each text replaces `asn: …` of its node."""
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
def test_only_bgp_has_an_as_number(protocol: str) -> None:
    topology = changed(f"protocol: {protocol}", f"protocol: {protocol}")
    router = topology.nodes["hq"].intent.router
    assert router is not None
    assert (router.protocol, router.asn) == (protocol, None)
    assert "'asn' is for BGP" in refused(f"{{protocol: {protocol}, asn: 1}}"[1:-1].replace(", ", "\n            "))


def test_both_ends_speak_the_same() -> None:
    assert "'hq' has 'bgp'" not in refused("protocol: ospf")
    assert "neighbour 'hq' has 'ospf'" in refused("protocol: ospf")
    assert "neighbour 'hq' has 'per-family'" in refused("asn: 65001\n            sessions: per-family")


def test_bfd_needs_somebody_who_answers() -> None:
    one, other = ("asn: 65001\n            bfd: {}", "asn: 65002\n            bfd: {interval: 100}")
    changed(one, other)
    assert "bfd: its neighbour 'branch' has no 'bfd', and nobody would answer" in refused(one)
    assert "bfd: its neighbour 'hq' has no 'bfd', and nobody would answer" in refused("", other)


@pytest.mark.parametrize(
    ("speaks", "why"),
    [
        ("protocol: ospf", "OSPFv3 sends packets from link-local addresses, which do not pass here"),
        ("protocol: rip", "RIPng sends packets from link-local addresses, which do not pass here"),
        ("asn: 65000\n            sessions: unnumbered", "unnumbered BGP sends packets from link-local addresses"),
    ],
)
def test_what_the_tunnel_does_not_carry_is_refused(speaks: str, why: str) -> None:
    changed(speaks, speaks)
    told = refused(speaks, speaks, "iroute: [ipv4]")
    assert why in told
    assert "iroute-ipv6 ::/0" in told
    changed("asn: 65001", "asn: 65002", "iroute: [ipv4]")


def test_one_of_two_unnumbered_neighbours_has_to_call() -> None:
    speaks = "asn: 65000\n            sessions: unnumbered"
    text = ARTICLE.replace("asn: 65001\n", f"{speaks}\n").replace("asn: 65002\n", f"{speaks}\n")
    parse(text.replace("daemon: frr", "daemon: bird", 1), find_topology("article"), vocabulary(), environ={})
    with pytest.raises(TopologyError, match=r"router\.sessions: 'branch' and its neighbour 'hq' would wait for each"):
        parse(text.replace("daemon: frr", "daemon: bird"), find_topology("article"), vocabulary(), environ={})


@pytest.mark.parametrize("speaks", ["protocol: isis", "asn: 1\n            sessions: many"])
def test_an_unknown_word_is_a_mistake_in_its_line(speaks: str) -> None:
    assert re.search(r"article\.clab\.yml:\d+", refused(speaks))
