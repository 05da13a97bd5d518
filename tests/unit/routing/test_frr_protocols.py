"""FRR's OSPF and RIP, and options of BGP: rendered configurations and parsed answers."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

import pytest

from lab.routing import AdjacencyState, Peer, RipState, RouterPlan
from lab.routing.frr import Frr
from lab.routing.frr.bgp import _neighbor
from lab.routing.frr.ospf import read_ospf, read_ospf6, read_prefix_list
from lab.routing.frr.rip import read_originated, read_status
from lab.routing.frr.speaker import read_zebra
from lab.topology import RoutingProtocol, Timers

DATA = Path(__file__).parents[2] / "data" / "frr"
"""Answers of FRR 10.3 at `hq`, with BIRD at the other end of the tunnel."""

PLAN = RouterPlan(
    node="hub",
    daemon="frr",
    asn=None,
    router_id=IPv4Address("192.0.2.1"),
    networks=(ip_network("10.1.0.0/24"), ip_network("2001:db8:1::/64")),
    timers=Timers(keepalive=2, hold=7, connect=5),
    bfd=None,
    peers=(
        Peer("a", ip_address("10.255.0.2"), None, "tun0", ("ipv4",)),
        Peer("a", None, None, "tun0", ("ipv6",)),
    ),
    protocol="ospf",
)
BGP = replace(PLAN, protocol="bgp", asn=65001)


def files(plan: RouterPlan) -> dict[str, list[str]]:
    return {f.path.name: [line.strip() for line in f.content.splitlines()] for f in Frr().render(plan)}


@pytest.mark.parametrize(
    ("protocol", "daemons"), [("bgp", {"bgpd"}), ("ospf", {"ospfd", "ospf6d"}), ("rip", {"ripd", "ripngd"})]
)
def test_only_the_daemons_of_the_protocol_are_enabled(protocol: RoutingProtocol, daemons: set[str]) -> None:
    lines = files(replace(BGP, protocol=protocol))["daemons"]
    assert {line.partition("=")[0] for line in lines if line.endswith("=yes")} == {*daemons, "vtysh_enable"}


def test_ospf_is_point_to_point_and_originates_listed_prefixes() -> None:
    lines = files(PLAN)["frr.conf"]
    assert lines.count("interface tun0") == 1, "one section for both families"
    for line in (
        "ip ospf network point-to-point",
        "ipv6 ospf6 network point-to-point",
        "ip ospf hello-interval 2",
        "ipv6 ospf6 dead-interval 7",
        "ospf router-id 192.0.2.1",
        "ip prefix-list ORIGINATED permit 10.1.0.0/24",
        "ipv6 route 2001:db8:1::/64 Null0",
        "redistribute static route-map ORIGINATED-4",
    ):
        assert line in lines
    assert not any("bgp" in line for line in lines)


@pytest.mark.parametrize("priority", [0, 1])
def test_servers_end_is_the_designated_router_of_several_clients(priority: int) -> None:
    peers = tuple(replace(peer, priority=priority) for peer in PLAN.peers)
    lines = files(replace(PLAN, peers=peers))["frr.conf"]
    for line in ("ip ospf network broadcast", "ipv6 ospf6 network broadcast"):
        assert line in lines
    assert {f"ip ospf priority {priority}", f"ipv6 ospf6 priority {priority}"} <= set(lines)


def test_hub_reflects_routes_of_internal_neighbours() -> None:
    peer = Peer("a", ip_address("10.255.0.2"), 65001, "tun0", reflects=True)
    lines = files(replace(BGP, peers=(peer,)))["frr.conf"]
    assert lines.count("neighbor 10.255.0.2 route-reflector-client") == 2
    assert lines.count("neighbor 10.255.0.2 next-hop-self force") == 2
    lines = files(replace(BGP, peers=(replace(peer, reflects=False),)))["frr.conf"]
    assert not any("reflector" in line or "force" in line for line in lines)


def test_routes_of_an_unnumbered_neighbour_keep_their_link_local_next_hop() -> None:
    lines = files(replace(BGP, peers=(Peer("a", None, 65002, "tun0"),)))["frr.conf"]
    assert "neighbor tun0 interface v6only remote-as 65002" in lines
    assert not any("route-map FROM-PEERS in" in line for line in lines)


def test_rip_runs_on_the_tunnel() -> None:
    lines = files(replace(PLAN, protocol="rip"))["frr.conf"]
    assert lines.count("network tun0") == 2
    assert {"route 10.1.0.0/24", "route 2001:db8:1::/64"} <= set(lines)


OUTER = (ip_address("198.51.100.1"), ip_address("198.51.100.5"))


def test_every_prefix_that_covers_an_outer_address_is_denied() -> None:
    peer = Peer("hq", ip_address("10.255.0.1"), 65002, "tun0", guarded=True)
    beside = Peer("near", ip_address("10.3.0.1"), 65003, "eth2")
    lines = files(replace(BGP, peers=(peer, beside), outer=OUTER))["frr.conf"]
    denied = [ip_network(line.split()[-1]) for line in lines if line.startswith("ip prefix-list NO-RECURSION deny ")]
    for address in OUTER:
        assert {network.prefixlen for network in denied if address in network} == set(range(33))
    assert all(any(address in network for address in OUTER) for network in denied)
    assert len(denied) == len(set(denied))
    assert "ip prefix-list NO-RECURSION permit any" in lines
    assert [line for line in lines if line.endswith("prefix-list NO-RECURSION in")] == [
        "neighbor 10.255.0.1 prefix-list NO-RECURSION in"
    ]
    unguarded = files(replace(BGP, peers=(replace(peer, guarded=False),)))["frr.conf"]
    assert not any("prefix-list" in line for line in unguarded)


@pytest.mark.parametrize(("protocol", "name"), [("ospf", "ospf"), ("rip", "rip")])
def test_ospf_and_rip_routes_that_cover_an_outer_address_are_not_installed(
    protocol: RoutingProtocol, name: str
) -> None:
    peer = Peer("hq", None, None, "tun0", ("ipv4",), guarded=True)
    lines = files(replace(PLAN, protocol=protocol, peers=(peer,), outer=OUTER))["frr.conf"]
    assert f"ip protocol {name} route-map INSTALL-ipv4" in lines
    assert not any(line.startswith("ipv6 protocol") for line in lines)
    start = lines.index("route-map INSTALL-ipv4 permit 10")
    assert lines[start : start + 7] == [
        "route-map INSTALL-ipv4 permit 10",
        "match interface tun0",
        "match ip address prefix-list NO-RECURSION",
        "exit",
        "route-map INSTALL-ipv4 deny 11",
        "match interface tun0",
        "exit",
    ]
    assert "route-map INSTALL-ipv4 permit 65535" in lines
    unfiltered = files(replace(PLAN, protocol=protocol, peers=(peer,)))["frr.conf"]
    assert not any("INSTALL-" in line for line in unfiltered)


def test_equal_paths_are_used_together_only_with_multipath() -> None:
    for multipath, number in ((False, 1), (True, 16)):
        lines = files(replace(BGP, multipath=multipath))["frr.conf"]
        assert lines.count(f"maximum-paths {number}") == lines.count(f"maximum-paths ibgp {number}") == 2


def test_preference_is_set_on_all_routes_of_the_neighbour() -> None:
    first = Peer("hq", ip_address("10.255.0.1"), 65002, "tun0", preference=0)
    second = Peer("hq", ip_address("10.255.0.5"), 65002, "tun1")
    lines = files(replace(BGP, peers=(first, second)))["frr.conf"]
    at = lines.index("route-map FROM-tun0 permit 10")
    assert lines[at + 1] == "set local-preference 0"
    assert lines.count("neighbor 10.255.0.1 route-map FROM-tun0 in") == 2
    assert lines.count("neighbor 10.255.0.5 route-map FROM-PEERS in") == 1
    assert "neighbor 10.255.0.1 route-map FROM-PEERS in" not in lines


def test_session_per_family_with_the_same_as_sets_its_own_next_hop() -> None:
    peers = (
        Peer("a", ip_address("10.255.0.2"), 65001, "tun0", ("ipv4",)),
        Peer("a", ip_address("2001:db8:ff::2"), 65001, "tun0", ("ipv6",)),
    )
    lines = files(replace(BGP, peers=peers))["frr.conf"]
    assert [line for line in lines if line.endswith(" activate")] == [
        "neighbor 10.255.0.2 activate",
        "neighbor 2001:db8:ff::2 activate",
    ]
    assert len([line for line in lines if line.endswith(" next-hop-self")]) == 2


def test_neighbour_without_an_address_is_named_after_its_interface() -> None:
    lines = files(replace(BGP, peers=(Peer("a", None, 65002, "tun0"),)))["frr.conf"]
    assert "neighbor tun0 interface v6only remote-as 65002" in lines
    assert lines.count("neighbor tun0 activate") == 2
    unknown = _neighbor("tun0", {"remoteAs": 65002, "bgpState": "Idle", "bgpNeighborAddr": "none"})
    assert (unknown.address, unknown.interface) == (None, "tun0")
    found = _neighbor("tun0", {"remoteAs": 65002, "bgpState": "Connect", "bgpNeighborAddr": "fe80::1"})
    assert Peer("a", None, 65002, "tun0").matches(found)
    assert Peer("a", None, 65002, "tun0").matches(unknown)
    assert not Peer("a", None, 65002, "tun1").matches(found)


# --- answers -----------------------------------------------------------------------------------------------


def test_adjacencies_of_ospfv2_and_ospfv3_are_read() -> None:
    (second,) = read_ospf(json.loads((DATA / "ospf-neighbors.json").read_text()))
    (third,) = read_ospf6(json.loads((DATA / "ospf6-neighbors.json").read_text()))
    assert (second.address, second.interface) == (ip_address("10.255.0.2"), "tun0")
    assert (third.address, third.interface) == (None, "tun0")
    assert second.state is third.state is AdjacencyState.FULL
    assert third.uptime == 6.0
    ipv4, ipv6 = PLAN.peers
    assert [ipv4.matches(n) for n in (second, third)] == [True, False]
    assert [ipv6.matches(n) for n in (second, third)] == [False, True]


def test_neighbours_of_rip_and_ripng_are_read() -> None:
    def text(name: str) -> str:
        return (DATA / f"{name}.txt").read_text()

    (second,) = read_status(text("rip-status"), text("rip"))
    (next_generation,) = read_status(text("ripng-status"), text("ripng"))
    assert second.address == ip_address("10.255.0.2")
    assert next_generation.address is not None
    assert next_generation.address.is_link_local
    assert next_generation.interface == "tun0", "the interface is in the table"
    assert second.state is next_generation.state is RipState.HEARD
    assert (read_originated(text("rip")), read_originated(text("ripng"))) == (
        [ip_network("10.1.0.0/24")],
        [ip_network("2001:db8:1::/64")],
    )


def test_ospf_routes_are_read_from_zebras_table() -> None:
    rib = read_zebra(json.loads((DATA / "zebra-ospf-ipv4.json").read_text()), ("ospf",))
    (path,) = rib[ip_network("10.2.0.0/24")]
    assert path.next_hops == (ip_address("10.255.0.2"),)
    assert path.best
    assert ip_network("10.1.0.0/24") not in rib


def test_originated_prefixes_are_read_from_a_configuration() -> None:
    text = (
        "ip prefix-list ORIGINATED seq 1 deny 255.255.255.255/32\n"
        "ip prefix-list ORIGINATED seq 6 permit 10.1.0.0/24\n"
        "ipv6 prefix-list ORIGINATED seq 6 permit 2001:db8:1::/64\n"
        "ip prefix-list OTHER seq 5 permit 10.9.0.0/24\n"
    )
    assert read_prefix_list(text, "ipv4") == [ip_network("10.1.0.0/24")]
    assert read_prefix_list(text, "ipv6") == [ip_network("2001:db8:1::/64")]
