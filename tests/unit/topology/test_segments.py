"""Neighbours across bridges, and static routes through a node's name."""

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

from lab.topology import Endpoint, Link, Node, NodeIntent, StaticRoute, Topology
from lab.topology.segments import endpoints_of, neighbors_of, static_routes


def endpoint(node: str, interface: str, *addresses: str) -> Endpoint:
    known = {f"ipv{ip_interface(a).version}": ip_interface(a) for a in addresses}
    return Endpoint(node=node, interface=interface, **known)  # type: ignore[arg-type]


def bridged(*routes: StaticRoute) -> Topology:
    """Three hosts on two bridges that are joined: a and b on `lan`, c on `lan2`."""

    def link(one: Endpoint, other: Endpoint) -> Link:
        return Link(kind="veth", endpoints=(one, other))

    nodes = {
        name: Node(name=name, kind="linux", image="x:1", intent=NodeIntent(routes=routes if name == "a" else ()))
        for name in ("a", "b", "c")
    } | {name: Node(name=name, kind="bridge") for name in ("lan", "lan2")}
    return Topology(
        name="bridged",
        file=Path("bridged.clab.yml"),
        nodes=nodes,
        links=(
            link(endpoint("a", "eth1", "192.0.2.1/24", "2001:db8::1/64"), endpoint("lan", "p1")),
            link(endpoint("lan", "p2"), endpoint("b", "eth1", "192.0.2.2/24")),
            link(endpoint("lan", "p3"), endpoint("lan2", "p1")),
            link(endpoint("lan2", "p2"), endpoint("c", "eth7", "192.0.2.3/24", "2001:db8::3/64")),
            link(endpoint("a", "eth2", "198.51.100.1/30"), endpoint("c", "eth2", "198.51.100.2/30")),
        ),
    )


def test_endpoints_of_a_node_keep_the_order_of_the_file(article: Topology) -> None:
    assert [e.interface for e in endpoints_of(article, "hq")] == ["eth1", "eth2"]
    assert [e.interface for e in endpoints_of(article, "transit")] == ["eth1", "eth2"]


def test_neighbours_share_a_link(article: Topology) -> None:
    pairs = [(here.interface, there.node) for here, there in neighbors_of(article, "hq")]
    assert pairs == [("eth1", "transit"), ("eth2", "hq-lan")]


def test_neighbours_include_nodes_behind_bridges_but_no_bridge() -> None:
    pairs = {(here.interface, there.node, there.interface) for here, there in neighbors_of(bridged(), "a")}
    assert pairs == {("eth1", "b", "eth1"), ("eth1", "c", "eth7"), ("eth2", "c", "eth2")}


def test_neighbours_are_found_across_a_loop_of_bridges(article: Topology) -> None:
    plain = bridged()
    again = Link(kind="veth", endpoints=(endpoint("lan", "p9"), endpoint("lan2", "p9")))
    circle = plain.model_copy(update={"links": (*plain.links, again)})
    assert len(neighbors_of(circle, "a")) == len(neighbors_of(plain, "a")) == 3


def texts(topology: Topology, node: str) -> list[tuple[str, str]]:
    return [(str(prefix), str(via)) for prefix, via in static_routes(topology)[node]]


def test_route_via_node_uses_its_address_of_the_same_family(article: Topology) -> None:
    assert texts(article, "hq") == [
        ("198.51.100.0/24", "198.51.100.2"),
        ("2001:db8:f00::/40", "2001:db8:f00:1::2"),
    ]
    assert texts(article, "transit") == []


def test_default_route_becomes_one_route_per_family(article: Topology) -> None:
    assert texts(article, "hq-lan") == [("0.0.0.0/0", "10.1.0.1"), ("::/0", "2001:db8:1::1")]


def test_default_route_covers_families_of_both_ends() -> None:
    topology = bridged(StaticRoute(to="default", via="b"))
    assert texts(topology, "a") == [("0.0.0.0/0", "192.0.2.2")]


def test_route_via_node_behind_bridges_has_one_next_hop() -> None:
    topology = bridged(StaticRoute(to=ip_network("2001:db8:9::/64"), via="c"))
    assert texts(topology, "a") == [("2001:db8:9::/64", "2001:db8::3")]


def test_route_via_address_keeps_the_address() -> None:
    to = ip_network("203.0.113.0/24")
    topology = bridged(StaticRoute(to=to, via="192.0.2.77"), StaticRoute(to="default", via="2001:db8::77"))
    assert static_routes(topology)["a"] == [
        (to, ip_address("192.0.2.77")),
        (ip_network("::/0"), ip_address("2001:db8::77")),
    ]
