"""What the engine is asked for: rights, devices and mounts by a node's part, and routes through names."""

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from lab.catalogue.load import load
from lab.engine import NodeSpec
from lab.image import NODE_IMAGE
from lab.render.node_spec import node_spec
from lab.routing import daemons
from lab.topology import Dns, Endpoint, Link, Node, NodeIntent, RouterIntent, StaticRoute, Topology
from lab.topology.segments import endpoints_of, neighbors_of, static_routes

OURS = f"{NODE_IMAGE}:2.6-0123456789ab"
LAB = Path("/labs/article")
ROUTERS = ("hq", "branch")
OTHERS = ("transit", "hq-lan", "branch-lan")


def spec(topology: Topology, node: str, image: str = OURS, **more: Any) -> NodeSpec:
    return node_spec(topology, node, image, LAB, **more)


# --- rights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", OTHERS)
def test_hosts_and_transit_can_capture_and_ping_and_nothing_else(article: Topology, node: str) -> None:
    planned = spec(article, node)
    assert planned.capabilities == ("NET_RAW",)
    assert planned.devices == ()
    assert {str(m.target) for m in planned.mounts} == {"/etc/hosts"}


@pytest.mark.parametrize("node", ROUTERS)
def test_routers_with_tunnels_get_what_openvpn_and_frr_need(article: Topology, node: str) -> None:
    planned = spec(article, node)
    assert planned.capabilities is not None
    assert set(planned.capabilities) == {"NET_RAW", "NET_ADMIN", *daemons()["frr"].capabilities}
    assert len(planned.capabilities) == len(set(planned.capabilities))
    assert planned.devices == ("/dev/net/tun",)


def test_an_external_node_is_started_as_containerlab_starts_it_and_cannot_change_its_files() -> None:
    planned = spec(load("routeros"), "ros", "vrnetlab/mikrotik_routeros:7.20")
    assert planned.capabilities is None
    assert (planned.node.cap_add, planned.node.devices) == (("NET_ADMIN",), ("/dev/kvm", "/dev/net/tun"))
    assert planned.node.cmd == "--username admin --password admin --hostname ros --connection-mode tc --trace"
    assert planned.node.env["CLAB_INTFS"] == "2"
    (mount,) = planned.mounts
    assert (mount.source, str(mount.target), mount.read_only) == (LAB / "nodes" / "ros", "/ftpboot", True)
    assert planned.sysctls == {}


@pytest.mark.parametrize("node", ROUTERS)
def test_configurations_are_read_only_and_logs_are_not(article: Topology, node: str) -> None:
    mounts = {str(m.target): m for m in spec(article, node).mounts}
    assert {target: m.read_only for target, m in mounts.items()} == {
        "/etc/openvpn": True,
        "/var/log/openvpn": False,
        "/etc/frr": True,
        "/var/log/frr": False,
        "/etc/hosts": False,
    }
    for target, mount in mounts.items():
        assert mount.source == LAB / "nodes" / node / PurePosixPath(target).relative_to("/")


@pytest.mark.parametrize(
    "said", [{"dns": Dns(servers=("192.0.2.53",))}, {"binds": ("/srv/hosts:/etc/hosts:ro",)}], ids=["dns", "own"]
)
def test_a_node_that_says_what_it_knows_gets_no_names_from_the_lab(article: Topology, said: dict[str, Any]) -> None:
    node = article.nodes["hq-lan"].model_copy(update=said)
    assert spec(article.model_copy(update={"nodes": {**article.nodes, "hq-lan": node}}), "hq-lan").mounts == ()


def test_a_router_without_a_tunnel_gets_no_tun_device(article: Topology) -> None:
    planned = spec(article.model_copy(update={"tunnels": ()}), "hq")
    assert planned.devices == ()
    assert "/etc/openvpn" not in {str(m.target) for m in planned.mounts}
    assert planned.capabilities is not None
    assert "NET_ADMIN" in planned.capabilities


def test_the_end_of_a_tunnel_that_is_no_router_gets_no_daemons_rights(article: Topology) -> None:
    hq = article.nodes["hq"].model_copy(update={"intent": NodeIntent()})
    planned = spec(article.model_copy(update={"nodes": {**article.nodes, "hq": hq}}), "hq")
    assert planned.capabilities == ("NET_RAW", "NET_ADMIN")
    assert planned.devices == ("/dev/net/tun",)
    assert {str(m.target) for m in planned.mounts} == {"/etc/hosts", "/etc/openvpn", "/var/log/openvpn"}


def test_a_node_gets_the_capabilities_that_its_file_adds_once(article: Topology) -> None:
    node = article.nodes["hq-lan"].model_copy(update={"cap_add": ("SYS_TIME", "NET_RAW")})
    topology = article.model_copy(update={"nodes": {**article.nodes, "hq-lan": node}})
    assert spec(topology, "hq-lan").capabilities == ("NET_RAW", "SYS_TIME")


@pytest.mark.parametrize("image", ["alpine:3", "openvpn-routing-lab/nodes:2.6", "example.org/x"])
def test_a_foreign_image_keeps_the_engines_own_set(article: Topology, image: str) -> None:
    assert spec(article, "hq-lan", image).capabilities is None


def test_a_guests_image_has_what_its_part_needs_and_its_file_adds(article: Topology) -> None:
    assert spec(article, "hq-lan", "openvpn-routing-lab/servers:0123456789ab").capabilities == ("NET_RAW",)


def test_a_bridge_needs_no_more_than_a_host() -> None:
    assert spec(bridged(), "lan").capabilities == ("NET_RAW",)


def test_the_image_that_the_engine_provided_is_the_one_to_launch(article: Topology) -> None:
    planned = spec(article, "hq", owner="42-1")
    assert planned.node.image == OURS
    assert (planned.lab, planned.container, planned.owner) == ("article", "clab-article-hq", "42-1")
    assert planned.directory == LAB


def test_variables_in_binds_become_the_labs_paths(article: Topology) -> None:
    node = article.nodes["hq"].model_copy(update={"binds": ("__clabNodeDir__/x:/x:ro", "__clabDir__/y:/y")})
    planned = spec(article.model_copy(update={"nodes": {**article.nodes, "hq": node}}), "hq")
    assert planned.node.binds == (f"{LAB}/nodes/hq/x:/x:ro", f"{LAB}/y:/y")


# --- wires and routes --------------------------------------------------------------------------------------


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


def test_the_ends_on_a_node_are_in_the_files_order(article: Topology) -> None:
    assert [e.interface for e in endpoints_of(article, "hq")] == ["eth1", "eth2"]
    assert [e.interface for e in endpoints_of(article, "transit")] == ["eth1", "eth2"]


def test_neighbours_are_those_on_a_wire(article: Topology) -> None:
    pairs = [(here.interface, there.node) for here, there in neighbors_of(article, "hq")]
    assert pairs == [("eth1", "transit"), ("eth2", "hq-lan")]


def test_neighbours_are_those_behind_bridges_too_and_no_bridge() -> None:
    pairs = {(here.interface, there.node, there.interface) for here, there in neighbors_of(bridged(), "a")}
    assert pairs == {("eth1", "b", "eth1"), ("eth1", "c", "eth7"), ("eth2", "c", "eth2")}


def test_bridges_in_a_circle_end(article: Topology) -> None:
    plain = bridged()
    again = Link(kind="veth", endpoints=(endpoint("lan", "p9"), endpoint("lan2", "p9")))
    circle = plain.model_copy(update={"links": (*plain.links, again)})
    assert len(neighbors_of(circle, "a")) == len(neighbors_of(plain, "a")) == 3


def texts(topology: Topology, node: str) -> list[tuple[str, str]]:
    return [(str(prefix), str(via)) for prefix, via in static_routes(topology)[node]]


def test_a_route_through_a_node_takes_its_address_of_the_prefixs_family(article: Topology) -> None:
    assert texts(article, "hq") == [
        ("198.51.100.0/24", "198.51.100.2"),
        ("2001:db8:f00::/40", "2001:db8:f00:1::2"),
    ]
    assert texts(article, "transit") == []


def test_a_default_route_is_one_per_family(article: Topology) -> None:
    assert texts(article, "hq-lan") == [("0.0.0.0/0", "10.1.0.1"), ("::/0", "2001:db8:1::1")]


def test_a_default_route_is_for_the_families_that_both_ends_have() -> None:
    topology = bridged(StaticRoute(to="default", via="b"))
    assert texts(topology, "a") == [("0.0.0.0/0", "192.0.2.2")]


def test_a_route_goes_through_a_bridge_and_to_one_next_hop() -> None:
    topology = bridged(StaticRoute(to=ip_network("2001:db8:9::/64"), via="c"))
    assert texts(topology, "a") == [("2001:db8:9::/64", "2001:db8::3")]


def test_a_route_through_an_address_takes_it_as_it_is() -> None:
    to = ip_network("203.0.113.0/24")
    topology = bridged(StaticRoute(to=to, via="192.0.2.77"), StaticRoute(to="default", via="2001:db8::77"))
    assert static_routes(topology)["a"] == [
        (to, ip_address("192.0.2.77")),
        (ip_network("::/0"), ip_address("2001:db8::77")),
    ]


def test_a_router_intent_alone_asks_for_no_tunnel(article: Topology) -> None:
    lonely = Node(name="x", kind="linux", image="y:1", intent=NodeIntent(router=RouterIntent(asn=65000)))
    planned = spec(article.model_copy(update={"nodes": {"x": lonely}, "links": (), "tunnels": ()}), "x")
    assert {str(m.target) for m in planned.mounts} == {"/etc/hosts", "/etc/frr", "/var/log/frr"}


def test_a_router_forwards_unless_its_topology_says_otherwise(tmp_path: Path) -> None:
    topology = load("article")
    node = topology.nodes["hq"]
    quiet = topology.model_copy(update={"nodes": {**topology.nodes, "hq": node.model_copy(update={"sysctls": {}})}})
    assert node_spec(quiet, "hq", "image", tmp_path).sysctls == {
        "net.ipv4.ip_forward": "1",
        "net.ipv6.conf.all.forwarding": "1",
    }
    assert node_spec(quiet, "hq-lan", "image", tmp_path).sysctls == {}
