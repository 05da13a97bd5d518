"""Links between temporary namespaces: names, addresses, bridges, routes, and errors."""

import socket
from collections.abc import Callable
from contextlib import closing
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from lab.core.errors import EnvironmentBroken, InputError, NotSupported
from lab.engine.devices import addresses
from lab.engine.netlink import add_addresses, connect_nodes, remove_addresses, remove_device, try_device
from lab.observe import echo
from lab.topology import Endpoint, Link, Node
from tests.helpers.sandbox import Sandbox

Make = Callable[[], Sandbox]
TENTATIVE = 0x40
IFF_UP = 0x1


def end(node: str, interface: str, *addresses: str, mac: str | None = None) -> Endpoint:
    known: Any = {f"ipv{ip_interface(a).version}": ip_interface(a) for a in addresses}
    return Endpoint(node=node, interface=interface, mac=mac, **known)


def pair(one: Endpoint, other: Endpoint, mtu: int | None = None) -> Link:
    return Link(kind="veth", endpoints=(one, other), mtu=mtu)


def build(boxes: dict[str, Sandbox], *links: Link, routes: Any = None, bridges: tuple[str, ...] = ()) -> None:
    nodes = {name: Node(name=name, kind="bridge" if name in bridges else "linux", image="x") for name in boxes}
    connect_nodes(nodes, {name: box.namespace for name, box in boxes.items()}, links, routes or {})


A, B = ("192.0.2.1/24", "2001:db8::1/64"), ("192.0.2.2/24", "2001:db8::2/64")


@pytest.fixture
def two(sandbox: Make) -> dict[str, Sandbox]:
    return {"a": sandbox(), "b": sandbox()}


def test_veth_ends_have_their_final_names_and_never_appear_on_the_host(two: dict[str, Sandbox]) -> None:
    before = set(socket.if_nameindex())
    build(two, pair(end("a", "eth1", *A), end("b", "uplink", *B)))
    assert set(two["a"].links()) == {"lo", "eth1"}
    assert set(two["b"].links()) == {"lo", "uplink"}
    assert {name for _, name in socket.if_nameindex()} == {name for _, name in before}


def test_external_node_gets_links_but_no_addresses(two: dict[str, Sandbox]) -> None:
    nodes = {"a": Node(name="a", kind="linux", image="x"), "b": Node(name="b", kind="mikrotik_ros", image="x")}
    routes = {name: [(ip_network("10.9.0.0/24"), ip_address("192.0.2.2"))] for name in nodes}
    namespaces = {name: box.namespace for name, box in two.items()}
    connect_nodes(nodes, namespaces, [pair(end("a", "eth1", *A), end("b", "eth1", *B))], routes)
    assert set(A) <= set(two["a"].addresses("eth1"))
    assert not set(B) & set(two["b"].addresses("eth1"))
    assert two["b"].links()["eth1"]


def test_addresses_of_both_families_are_usable_at_once(two: dict[str, Sandbox]) -> None:
    build(two, pair(end("a", "eth1", *A), end("b", "eth1", *B)))
    flags = two["a"].addresses("eth1")
    assert set(A) <= set(flags)
    assert not any(flags[address] & TENTATIVE for address in A)
    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with closing(two["a"].namespace.run(lambda family=family: socket.socket(family, socket.SOCK_DGRAM))) as bound:  # type: ignore[misc]
            bound.bind((address, 0))
    two["a"].let_ping()
    for target in ("192.0.2.2", "2001:db8::2"):
        assert echo(two["a"].namespace, "a", ip_address(target), wait=5.0).answered


def test_mtu_and_mac_are_as_requested(two: dict[str, Sandbox]) -> None:
    first = end("a", "eth1", mac="02:00:00:00:00:0a")
    build(
        two, pair(first, end("b", "eth1", mac="02:00:00:00:00:0b"), mtu=1400), pair(end("a", "eth2"), end("b", "eth2"))
    )
    for name, last in (("a", "0a"), ("b", "0b")):
        links = two[name].links()
        assert links["eth1"].get_attr("IFLA_ADDRESS") == f"02:00:00:00:00:{last}"
        assert links["eth1"].get_attr("IFLA_MTU") == 1400
        assert links["eth2"].get_attr("IFLA_MTU") == 9500, "containerlab's default"
        assert all(links[e]["flags"] & IFF_UP for e in ("eth1", "eth2"))


def test_dummy_interface_has_mtu_and_addresses(sandbox: Make) -> None:
    box = sandbox()
    link = Link(kind="dummy", endpoints=(end("a", "dummy7", *A),), mtu=1300)
    try:
        build({"a": box}, link)
    except NotSupported as error:
        pytest.skip(str(error))
    assert box.links()["dummy7"].get_attr("IFLA_MTU") == 1300
    assert set(A) <= set(box.addresses("dummy7"))


def test_link_kind_that_the_kernel_lacks_is_not_supported(two: dict[str, Sandbox]) -> None:
    link = Link.model_construct(kind="nosuchkind", endpoints=(end("a", "x"),), mtu=None)
    with pytest.raises(NotSupported, match="a:x") as caught:
        build(two, link)
    assert caught.value.feature == "nosuchkind"


def test_try_device_returns_the_error_and_leaves_no_device(sandbox: Make) -> None:
    box = sandbox()
    before = set(box.links())
    assert try_device(box.namespace, "bridge") is None
    assert try_device(box.namespace, "nosuchkind") == "Operation not supported"
    assert set(box.links()) == before


def test_remove_device_matches_name_and_kind(two: dict[str, Sandbox]) -> None:
    build(two, pair(end("a", "tun0", *A), end("b", "tun1", *B)))
    remove_device(two["a"].namespace, "tun1")
    remove_device(two["a"].namespace, "tun0", kind="ovpn")
    assert "tun0" in two["a"].links(), "another name or kind must stay"
    remove_device(two["a"].namespace, "tun0", kind="veth")
    assert "tun0" not in two["a"].links()


def test_bridge_connects_its_ports(sandbox: Make) -> None:
    boxes = {name: sandbox() for name in ("a", "b", "lan")}
    build(
        boxes,
        pair(end("a", "eth1", *A), end("lan", "p1")),
        pair(end("lan", "p2"), end("b", "eth1", *B)),
        bridges=("lan",),
    )
    links = boxes["lan"].links()
    assert {links[p].get_attr("IFLA_MASTER") for p in ("p1", "p2")} == {links["lan"]["index"]}
    boxes["a"].let_ping()
    for target in ("192.0.2.2", "2001:db8::2"):
        assert echo(boxes["a"].namespace, "a", ip_address(target), count=1, wait=5.0).answered


def routes_of(box: Sandbox) -> set[tuple[str, str]]:
    def work() -> set[tuple[str, str]]:
        with IPRoute() as ip:
            return {
                (f"{r.get_attr('RTA_DST') or 'default'}/{r['dst_len']}", r.get_attr("RTA_GATEWAY"))
                for r in ip.get_routes(table=254)
                if r.get_attr("RTA_GATEWAY")
            }

    return box.namespace.run(work)


def test_static_routes_of_both_families_are_set(two: dict[str, Sandbox]) -> None:
    wanted = [
        (ip_network("203.0.113.0/24"), ip_address("192.0.2.2")),
        (ip_network("0.0.0.0/0"), ip_address("192.0.2.2")),
        (ip_network("2001:db8:9::/48"), ip_address("2001:db8::2")),
        (ip_network("::/0"), ip_address("2001:db8::2")),
    ]
    build(two, pair(end("a", "eth1", *A), end("b", "eth1", *B)), routes={"a": wanted, "b": []})
    assert routes_of(two["a"]) == {
        ("203.0.113.0/24", "192.0.2.2"),
        ("default/0", "192.0.2.2"),
        ("2001:db8:9::/48", "2001:db8::2"),
        ("default/0", "2001:db8::2"),
    }
    assert routes_of(two["b"]) == set()


def test_refused_route_is_named(two: dict[str, Sandbox]) -> None:
    routes = {"a": [(ip_network("203.0.113.0/24"), ip_address("198.51.100.9"))]}
    with pytest.raises(EnvironmentBroken, match=r"a: the route to 203\.0\.113\.0/24 via 198\.51\.100\.9 cannot be set"):
        build(two, pair(end("a", "eth1", *A), end("b", "eth1", *B)), routes=routes)


def test_refused_link_is_named(two: dict[str, Sandbox]) -> None:
    link = pair(end("a", "eth1"), end("b", "eth1"))
    build(two, link)
    with pytest.raises(EnvironmentBroken, match="the link a:eth1 - b:eth1 cannot be created"):
        build(two, link)


def test_link_to_an_ended_node_is_named(two: dict[str, Sandbox]) -> None:
    two["b"].close()
    with pytest.raises(EnvironmentBroken, match="a:eth1 - b:eth1"):
        build(two, pair(end("a", "eth1"), end("b", "eth1")))


def test_addresses_are_added_and_removed_idempotently(two: dict[str, Sandbox]) -> None:
    build(two, pair(end("a", "eth1", *A), end("b", "eth1", *B)))
    box = two["a"]
    more = [ip_interface("198.51.100.1/24"), ip_interface("2001:db8:7::1/64")]
    for _ in range(2):
        add_addresses(box.namespace, "eth1", more)
    assert {*A, *map(str, more)} <= set(box.addresses("eth1"))
    assert not box.addresses("eth1")["2001:db8:7::1/64"] & TENTATIVE
    for _ in range(2):
        remove_addresses(box.namespace, "eth1", more)
    assert set(A) <= set(box.addresses("eth1"))
    assert not set(map(str, more)) & set(box.addresses("eth1"))


@pytest.mark.parametrize("change", [add_addresses, remove_addresses])
def test_missing_interface_is_named(sandbox: Make, change: Callable[..., None]) -> None:
    with pytest.raises(InputError, match="no interface 'eth9'"):
        change(sandbox().namespace, "eth9", [ip_interface("192.0.2.1/24")])


def test_no_file_descriptor_is_left_open(two: dict[str, Sandbox]) -> None:
    build(two, pair(end("a", "eth1", *A), end("b", "eth1", *B)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        add_addresses(two["a"].namespace, "eth1", [ip_interface("198.51.100.1/24")])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_addresses_of_all_devices_are_listed(two: dict[str, Sandbox]) -> None:
    build(two, pair(end("a", "eth1", *A), end("b", "eth1", *B)))
    for name, held in (("a", A), ("b", B)):
        found = two[name].namespace.run(addresses)
        assert {ip_interface(text).ip for text in held} <= found
        assert not {ip_interface(text).ip for text in (B if name == "a" else A)} & found
