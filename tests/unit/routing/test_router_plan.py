"""The neighbours of each router, derived from a topology."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, ip_address, ip_interface
from typing import Any

import pytest

from lab.catalogue import load
from lab.core.errors import InputError
from lab.routing import AdjacencyState, Neighbor, Peer, plan_routers
from lab.topology import Accepted, Encapsulation, Endpoint, Link, LinkIntent, RouterIntent, Topology


def with_router(topology: Topology, node: str, **changes: Any) -> Topology:
    model = topology.nodes[node]
    router = (model.intent.router or RouterIntent(asn=65099)).model_copy(update=changes)
    intent = model.intent.model_copy(update={"router": router})
    return topology.model_copy(update={"nodes": {**topology.nodes, node: model.model_copy(update={"intent": intent})}})


def peering(link: Link) -> Link:
    return link.model_copy(update={"intent": LinkIntent(peering=True)})


def test_routers_of_the_article_peer_inside_the_tunnel(article: Topology) -> None:
    plans = plan_routers(article)
    assert set(plans) == {"hq", "branch"}
    for node, (other, address, asn, own) in {
        "hq": ("branch", "10.255.0.2", 65002, IPv6Address("2001:db8:ff::1")),
        "branch": ("hq", "10.255.0.1", 65001, IPv6Address("2001:db8:ff::2")),
    }.items():
        assert plans[node].peers == (Peer(other, ip_address(address), asn, "tun0", own_ipv6=own, guarded=True),)
    assert [str(a) for plan in plans.values() for a in plan.outer] == ["198.51.100.5", "198.51.100.1"]
    open_ended = plan_routers(with_router(article, "hq", recursion_filter=False))["hq"]
    assert (open_ended.outer, open_ended.peers[0].guarded) == ((), False)
    assert [str(p) for p in plans["hq"].networks] == ["10.1.0.0/24", "2001:db8:1::/64"]


def test_each_end_uses_its_own_device(article: Topology) -> None:
    (tunnel,) = article.tunnels
    other = tunnel.model_copy(update={"device": "tun5", "server_device": "tun3"})
    plans = plan_routers(article.model_copy(update={"tunnels": (other,)}))
    assert (plans["branch"].peers[0].interface, plans["hq"].peers[0].interface) == ("tun5", "tun3")


def test_router_id_is_by_default_the_lowest_address(article: Topology) -> None:
    assert str(plan_routers(article)["hq"].router_id) == "10.1.0.1"
    configured = with_router(article, "hq", router_id=ip_address("192.0.2.1"))
    assert str(plan_routers(configured)["hq"].router_id) == "192.0.2.1"


def test_router_without_an_address_needs_a_router_id(article: Topology) -> None:
    bare = article.model_copy(update={"links": ()})
    with pytest.raises(InputError, match=r"nodes\.hq\.config\.vars\.router: .*`router-id`"):
        plan_routers(bare)


def test_routers_peer_only_over_links_with_peering(article: Topology) -> None:
    topology = with_router(article, "transit")
    assert plan_routers(topology)["transit"].peers == ()
    first, *others = topology.links
    plans = plan_routers(topology.model_copy(update={"links": (peering(first), *others)}))
    there, here = (IPv6Address(f"2001:db8:f00:1::{host}") for host in (1, 2))
    assert plans["transit"].peers == (Peer("hq", ip_address("198.51.100.1"), 65001, "eth1", own_ipv6=here),)
    assert Peer("transit", ip_address("198.51.100.2"), 65099, "eth1", own_ipv6=there) in plans["hq"].peers
    assert {p.node for p in plans["branch"].peers} == {"hq"}


def test_routers_peer_by_ipv6_over_a_link_without_ipv4(article: Topology) -> None:
    topology = with_router(article, "transit", router_id=ip_address("192.0.2.9"))
    first, *others = topology.links
    ends = tuple(e.model_copy(update={"ipv4": None}) for e in first.endpoints)
    link = peering(first).model_copy(update={"endpoints": ends})
    plans = plan_routers(topology.model_copy(update={"links": (link, *others)}))
    own = IPv6Address("2001:db8:f00:1::2")
    assert plans["transit"].peers == (Peer("hq", ip_address("2001:db8:f00:1::1"), 65001, "eth1", own_ipv6=own),)


def test_tunnel_to_a_node_without_a_router_has_no_session(article: Topology) -> None:
    hq = article.nodes["hq"]
    plain = hq.model_copy(update={"intent": hq.intent.model_copy(update={"router": None})})
    plans = plan_routers(article.model_copy(update={"nodes": {**article.nodes, "hq": plain}}))
    assert set(plans) == {"branch"}
    assert plans["branch"].peers == ()


def test_addresses_of_peers_are_the_inner_ones(article: Topology) -> None:
    (tunnel,) = article.tunnels
    other = tunnel.model_copy(
        update={"server_at": tunnel.server_at.model_copy(update={"ipv4": ip_interface("10.9.9.1/24")})}
    )
    plans = plan_routers(article.model_copy(update={"tunnels": (other,)}))
    assert plans["branch"].peers[0].address == ip_address("10.9.9.1")


def test_interfaces_to_a_neighbour_depend_on_preference_and_multipath() -> None:
    def ways(multipath: bool, *preferences: int | None) -> tuple[str, ...]:
        peers = tuple(
            Peer("hq", ip_address("10.255.0.1"), 65001, f"tun{n}", preference=p) for n, p in enumerate(preferences)
        )
        plan = plan_routers(load("dual-homed"))["branch"]
        return replace(plan, multipath=multipath, peers=peers).interfaces_to("hq")

    assert ways(True, None, None) == ways(True, None, 100) == ("tun0", "tun1")
    assert ways(True, 200, 100) == ways(False, 200, None) == ("tun0",)
    assert ways(True, 0, None, 100) == ("tun1", "tun2")
    assert ways(False, None, None) == (), "BGP chooses one"
    assert plan_routers(load("ospf"))["branch"].interfaces_to("hq") == ("tun0",)


def test_filter_covers_the_outer_addresses_of_all_tunnels() -> None:
    plans = plan_routers(load("dual-homed"))
    assert [str(address) for address in plans["branch"].outer] == ["198.51.100.1", "203.0.113.1"]
    assert [str(address) for address in plans["hq"].outer] == ["198.51.100.5", "203.0.113.5"]
    assert all(peer.guarded for plan in plans.values() for peer in plan.peers)


def test_several_clients_on_one_device_have_router_ids_and_priorities() -> None:
    plans = plan_routers(load("tap-hub"))
    assert [(peer.node, str(peer.router_id), peer.priority) for peer in plans["hub"].peers] == [
        ("spoke1", "10.2.0.1", 1),
        ("spoke2", "10.3.0.1", 1),
    ]
    assert [peer.priority for peer in plans["spoke1"].peers] == [0]
    assert [peer.priority for peer in plan_routers(load("hub-and-spokes"))["hub"].peers] == [None] * 3


def test_hub_reflects_only_between_several_internal_neighbours() -> None:
    topology = load("hub-and-spokes")
    for node, reflected in (("spoke1", set()), ("spoke2", {"spoke1", "spoke2"})):
        topology = with_router(topology, node, asn=65000)
        plans = plan_routers(topology)
        assert {peer.node for peer in plans["hub"].peers if peer.reflects} == reflected
        assert not any(peer.reflects for peer in plans[node].peers)


def test_ospfv3_neighbour_is_matched_by_its_router_id() -> None:
    def heard(router_id: str) -> Neighbor:
        return Neighbor(None, None, AdjacencyState.FULL, 1.0, 1, {}, "", "tap0", IPv4Address(router_id))

    peer = Peer("spoke1", None, None, "tap0", ("ipv6",), router_id=IPv4Address("10.2.0.1"))
    assert peer.matches(heard("10.2.0.1"))
    assert not peer.matches(heard("10.3.0.1"))


def test_session_over_a_kernel_tunnel_has_the_families_that_it_carries(article: Topology) -> None:
    """The kernel tunnel runs inside an OpenVPN tunnel, so that the filter of that one applies as well."""
    tunnel = article.tunnels[0]
    ends = tuple(
        Endpoint(node=node, interface="ipip0", ipv4=IPv4Interface(f"192.0.2.{number}/30"))
        for number, node in enumerate(("hq", "branch"), start=1)
    )
    outer = (tunnel.server_ipv4.ip, tunnel.client_ipv4.ip)
    intent = LinkIntent(peering=True, encapsulation=Encapsulation(kind="ipip", outer=outer))
    link = Link(kind="veth", endpoints=ends, intent=intent)
    _, peer = plan_routers(article.model_copy(update={"links": (*article.links, link)}))["hq"].peers
    assert (peer.interface, peer.families, peer.guarded) == ("ipip0", ("ipv4",), True)
    without = plan_routers(article.model_copy(update={"links": (*article.links, link), "tunnels": ()}))["hq"]
    assert [peer.guarded for peer in without.peers] == [False]


def test_accepted_prefixes_are_the_listed_ones(article: Topology) -> None:
    networks = plan_routers(article)["hq"].networks
    assert plan_routers(article)["branch"].accepted(networks) == networks
    listed = plan_routers(with_router(article, "branch", accept=(Accepted(prefix=networks[0]),)))["branch"]
    assert listed.accepted(networks) == networks[:1]
    assert ([e.prefix for e in listed.accepted_of("ipv4")], listed.accepted_of("ipv6")) == ([networks[0]], ())
    assert plan_routers(with_router(article, "branch", accept=()))["branch"].accepted(networks) == ()
