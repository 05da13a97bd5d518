"""All combinations of modes, daemons and protocols: which work, and why the others do not.

`REFUSED` has the combinations that the reader refuses, each with its reason and the test that proves it. All others
work (tests/daemons and tests/modes), except for those in `DROPPED`: routes come up there and packets are dropped, as
`lab advise` reports and tests/claims show.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.advise import advise, subjects_of_topology
from lab.catalogue import vocabulary
from lab.routing import daemon_of, daemons, plan_routers
from lab.topology import Topology, TopologyError, parse
from lab.tunnel import modes

TESTS = Path(__file__).parents[2]
HUB = TESTS / "daemons" / "hub.clab.yml"

TUNNELS: Mapping[str, tuple[int, str]] = {
    "iroute": (1, "mode: iroute"),
    "iroute, one client each": (2, "mode: iroute"),
    "iroute, subnet": (1, "mode: iroute, options: {topology: subnet}"),
    "iroute of IPv4 only": (1, "mode: iroute, options: {iroute: [ipv4]}"),
    "iroute of IPv6 only": (1, "mode: iroute, options: {iroute: [ipv6]}"),
    "no iroute": (1, "mode: iroute, options: {iroute: []}"),
    "p2p-tls": (1, "mode: p2p-tls"),
    "p2p-tls, one client each": (2, "mode: p2p-tls"),
    "p2p-static-key": (1, "mode: p2p-static-key"),
    "p2p-static-key, one client each": (2, "mode: p2p-static-key"),
    "tap": (1, "mode: tap"),
    "tap, two clients": (2, "mode: tap"),
    "fixed-routes": (1, 'mode: fixed-routes, options: {client-networks: [10.2.0.0/24, "2001:db8:2::/64"]}'),
    "fixed-routes with all of IPv6": (1, "mode: fixed-routes, options: {client-networks: [10.2.0.0/24, '::/0']}"),
    "shared-iroute": (1, "mode: shared-iroute"),
    "shared-iroute, two clients": (2, "mode: shared-iroute"),
    "dco": (1, "mode: dco, openvpn: '2.7'"),
    "dco, two clients": (2, "mode: dco, openvpn: '2.7'"),
}
"""The number of clients, and the keys of their tunnels."""

PROTOCOLS: Mapping[str, str] = {
    "bgp": "asn: {asn}",
    "bgp-per-family": "asn: {asn}, sessions: per-family",
    "bgp-unnumbered": "asn: {asn}, sessions: unnumbered",
    "ibgp": "asn: 65000",
    "ospf": "protocol: ospf",
    "rip": "protocol: rip",
}


DAEMONS: Mapping[str, tuple[str, str]] = {name: (name, name) for name in daemons()} | {
    f"frr, {name}": ("frr", name) for name in daemons() if name != "frr"
}
"""The daemons of the hub and of the spokes."""


@dataclass(frozen=True)
class Reason:
    """The reason of a refusal as in its message, and the test that proves it with packets."""

    words: str
    shown_by: str


NO_LINK_LOCAL = Reason(
    "without `iroute-ipv6 ::/0` the server drops packets from a link-local address",
    "daemons/test_refusals.py::test_link_local_packets_are_dropped_without_the_ipv6_iroute",
)
THE_LAST_HAS_ALL = Reason(
    "the inner table maps all link-local addresses to the client that connected last",
    "daemons/test_refusals.py::test_shared_server_passes_link_local_packets_of_the_last_client_only",
)
ONE_PER_INTERFACE = Reason(
    "an unnumbered BGP session needs an interface of its own",
    "daemons/test_refusals.py::test_one_of_two_unnumbered_neighbours_on_an_interface_gets_a_session",
)
NO_MULTICAST = Reason(
    "mode dco does not forward packets to a multicast group",
    "kernel/test_dco_hub.py::test_multicast_does_not_pass",
)
BIRD_WAITS = Reason(
    "neither daemon connects to a neighbour without a configured address",
    "daemons/test_refusals.py::test_two_birds_without_addresses_wait_for_each_other",
)

REFUSED: Mapping[str, Mapping[str, Reason]] = {
    kind: dict.fromkeys(("bgp-unnumbered", "ospf", "rip"), reason)
    for kind, reason in {
        "iroute of IPv4 only": NO_LINK_LOCAL,
        "no iroute": NO_LINK_LOCAL,
        "fixed-routes": NO_LINK_LOCAL,
        "shared-iroute, two clients": THE_LAST_HAS_ALL,
        "dco": NO_MULTICAST,
        "dco, two clients": NO_MULTICAST,
    }.items()
} | {"tap, two clients": {"bgp-unnumbered": ONE_PER_INTERFACE}}
"""The refused combinations with any daemon."""

DROPPED = {
    "iroute of IPv4 only": {"one-family", "fixed-iroutes"},
    "iroute of IPv6 only": {"one-family", "fixed-iroutes"},
    "no iroute": {"no-iroute"},
    "fixed-routes": {"fixed-iroutes"},
    "fixed-routes with all of IPv6": {"fixed-iroutes"},
    "shared-iroute, two clients": {"second-client"},
}
"""Combinations that exchange routes and drop packets, each with the rules of `lab advise` that report it."""


def reason(kind: str, pair: str, protocol: str) -> Reason | None:
    """Return the reason why the reader refuses a combination; None if it accepts it."""
    if protocol == "bgp-unnumbered" and "frr" not in DAEMONS[pair]:
        return BIRD_WAITS
    return REFUSED.get(kind, {}).get(protocol)


def topology(kind: str, pair: str, protocol: str) -> Topology:
    """Return the hub with one spoke or two."""
    clients, tunnel = TUNNELS[kind]
    text = HUB.read_text()
    if clients == 1:
        head, _, tail = text.rpartition("          tunnels:\n")
        text = head + tail.partition("\n")[2]
    text = text.replace("mode: tap, transport: udp", tunnel)
    routers = {
        node: f"daemon: {DAEMONS[pair][node != 'HUB']}, {PROTOCOLS[protocol].format(asn=asn)}"
        for node, asn in (("HUB", 65000), ("SPOKE1", 65001), ("SPOKE2", 65002))
    }
    return parse(text, HUB, vocabulary(), environ=routers)


@pytest.mark.parametrize("kind", TUNNELS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_combination_is_rendered_or_refused_with_its_reason(kind: str, protocol: str) -> None:
    for pair in DAEMONS:
        expected = reason(kind, pair, protocol)
        if expected is not None:
            with pytest.raises(TopologyError) as refusal:
                topology(kind, pair, protocol)
            assert expected.words in str(refusal.value), pair
            continue
        read = topology(kind, pair, protocol)
        plans = plan_routers(read)
        for plan in plans.values():
            assert any(file.content for file in daemon_of(plan).render(plan))
        for tunnel in read.tunnels:
            for here, there in ((tunnel.server, tunnel.client), (tunnel.client, tunnel.server)):
                assert there in {peer.node for peer in plans[here].peers}


def test_combinations_cover_every_mode() -> None:
    assert {topology(kind, "frr", "bgp").tunnels[0].mode for kind in TUNNELS} == set(modes())
    assert {len(topology(kind, "frr", "bgp").tunnels) for kind in TUNNELS} == {1, 2}
    assert set(REFUSED) | set(DROPPED) <= set(TUNNELS)


@pytest.mark.parametrize("kind", TUNNELS)
def test_advise_reports_combinations_that_drop_packets(kind: str) -> None:
    exposed = {f.rule for f in advise(subjects_of_topology(topology(kind, "frr", "bgp"))) if f.verdict == "exposed"}
    reported = {"one-family", "no-iroute", "fixed-iroutes", "second-client"} & exposed
    assert reported == DROPPED.get(kind, set())


@pytest.mark.parametrize(
    "shown_by", sorted({why.shown_by for kind in REFUSED.values() for why in kind.values()} | {BIRD_WAITS.shown_by})
)
def test_each_refusal_names_a_test_that_proves_its_reason(shown_by: str) -> None:
    file, _, name = shown_by.partition("::")
    defined = {node.name for node in ast.parse((TESTS / file).read_text()).body if isinstance(node, ast.FunctionDef)}
    assert name in defined
