"""The specification of a node: capabilities, devices, mounts and sysctls by its role."""

from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from lab.catalogue import load
from lab.engine import NodeSpec
from lab.image import NODE_IMAGE
from lab.render.node_spec import node_spec
from lab.routing import daemons
from lab.topology import Dns, Node, NodeIntent, RouterIntent, Topology
from lab.topology.model import Credentials

OURS = f"{NODE_IMAGE}:2.6-0123456789ab"
LAB = Path("/labs/article")
ROUTERS = ("hq", "branch")
OTHERS = ("transit", "hq-lan", "branch-lan")


def spec(topology: Topology, node: str, image: str = OURS, **more: Any) -> NodeSpec:
    return node_spec(topology, node, image, LAB, **more)


# --- capabilities, devices and mounts ---------------------------------------------------------------------


@pytest.mark.parametrize("node", OTHERS)
def test_hosts_and_transit_get_net_raw_only(article: Topology, node: str) -> None:
    planned = spec(article, node)
    assert planned.capabilities == ("NET_RAW",)
    assert planned.devices == ()
    assert {str(m.target) for m in planned.mounts} == {"/etc/hosts"}


@pytest.mark.parametrize("node", ROUTERS)
def test_routers_with_tunnels_get_capabilities_of_openvpn_and_frr(article: Topology, node: str) -> None:
    planned = spec(article, node)
    assert planned.capabilities is not None
    assert set(planned.capabilities) == {"NET_RAW", "NET_ADMIN", *daemons()["frr"].capabilities}
    assert len(planned.capabilities) == len(set(planned.capabilities))
    assert planned.devices == ("/dev/net/tun",)


def test_external_node_starts_as_in_containerlab_with_read_only_files() -> None:
    planned = spec(load("routeros"), "ros", "vrnetlab/mikrotik_routeros:7.20")
    assert planned.capabilities is None
    assert (planned.node.cap_add, planned.node.devices) == (("NET_ADMIN",), ("/dev/kvm", "/dev/net/tun"))
    assert planned.node.cmd == "--username admin --password admin --hostname ros --connection-mode tc --trace"
    assert planned.node.env["CLAB_INTFS"] == "2"
    (mount,) = planned.mounts
    assert (mount.source, str(mount.target), mount.read_only) == (LAB / "nodes" / "ros", "/ftpboot", True)
    assert planned.sysctls == {}


@pytest.mark.parametrize("node", ROUTERS)
def test_configurations_are_read_only_and_logs_writable(article: Topology, node: str) -> None:
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
def test_node_with_dns_or_own_hosts_file_gets_no_hosts_file(article: Topology, said: dict[str, Any]) -> None:
    node = article.nodes["hq-lan"].model_copy(update=said)
    assert spec(article.model_copy(update={"nodes": {**article.nodes, "hq-lan": node}}), "hq-lan").mounts == ()


def test_router_without_a_tunnel_gets_no_tun_device(article: Topology) -> None:
    planned = spec(article.model_copy(update={"tunnels": ()}), "hq")
    assert planned.devices == ()
    assert "/etc/openvpn" not in {str(m.target) for m in planned.mounts}
    assert planned.capabilities is not None
    assert "NET_ADMIN" in planned.capabilities


def test_tunnel_end_without_router_gets_no_capabilities_of_a_daemon(article: Topology) -> None:
    hq = article.nodes["hq"].model_copy(update={"intent": NodeIntent()})
    planned = spec(article.model_copy(update={"nodes": {**article.nodes, "hq": hq}}), "hq")
    assert planned.capabilities == ("NET_RAW", "NET_ADMIN")
    assert planned.devices == ("/dev/net/tun",)
    assert {str(m.target) for m in planned.mounts} == {"/etc/hosts", "/etc/openvpn", "/var/log/openvpn"}


def test_capabilities_of_the_topology_are_added_once(article: Topology) -> None:
    node = article.nodes["hq-lan"].model_copy(update={"cap_add": ("SYS_TIME", "NET_RAW")})
    topology = article.model_copy(update={"nodes": {**article.nodes, "hq-lan": node}})
    assert spec(topology, "hq-lan").capabilities == ("NET_RAW", "SYS_TIME")


@pytest.mark.parametrize("image", ["alpine:3", "openvpn-routing-lab/nodes:2.6", "example.org/x"])
def test_foreign_image_keeps_default_capabilities(article: Topology, image: str) -> None:
    assert spec(article, "hq-lan", image).capabilities is None


def test_other_images_of_the_lab_get_capabilities_by_role(article: Topology) -> None:
    assert spec(article, "hq-lan", "openvpn-routing-lab/servers:0123456789ab").capabilities == ("NET_RAW",)


def test_bridge_gets_capabilities_of_a_host(article: Topology) -> None:
    bridge = {"lan": Node(name="lan", kind="bridge")}
    topology = article.model_copy(update={"nodes": bridge, "links": (), "tunnels": ()})
    assert spec(topology, "lan").capabilities == ("NET_RAW",)


def test_image_provided_by_the_engine_is_launched(article: Topology) -> None:
    planned = spec(article, "hq", owner="42-1")
    assert planned.node.image == OURS
    assert (planned.lab, planned.container, planned.owner) == ("article", "clab-article-hq", "42-1")
    assert planned.directory == LAB


def test_variables_in_binds_become_paths_of_the_lab(article: Topology) -> None:
    node = article.nodes["hq"].model_copy(update={"binds": ("__clabNodeDir__/x:/x:ro", "__clabDir__/y:/y")})
    planned = spec(article.model_copy(update={"nodes": {**article.nodes, "hq": node}}), "hq")
    assert planned.node.binds == (f"{LAB}/nodes/hq/x:/x:ro", f"{LAB}/y:/y")


def test_router_without_tunnel_mounts_no_openvpn_files(article: Topology) -> None:
    lonely = Node(name="x", kind="linux", image="y:1", intent=NodeIntent(router=RouterIntent(asn=65000)))
    planned = spec(article.model_copy(update={"nodes": {"x": lonely}, "links": (), "tunnels": ()}), "x")
    assert {str(m.target) for m in planned.mounts} == {"/etc/hosts", "/etc/frr", "/var/log/frr"}


def test_router_forwards_by_default(tmp_path: Path) -> None:
    topology = load("article")
    node = topology.nodes["hq"]
    quiet = topology.model_copy(update={"nodes": {**topology.nodes, "hq": node.model_copy(update={"sysctls": {}})}})
    assert node_spec(quiet, "hq", "image", tmp_path).sysctls == {
        "net.ipv4.ip_forward": "1",
        "net.ipv6.conf.all.forwarding": "1",
    }
    assert node_spec(quiet, "hq-lan", "image", tmp_path).sysctls == {}


# --- images that are not the lab's ------------------------------------------------------------------------


def plain(image: str = "frr:10", privileged: bool = False, **keys: Any) -> NodeSpec:
    node = Node(name="r1", kind="linux", image=image, **keys)
    topology = Topology(name="plain", file=Path("plain.clab.yml"), nodes={"r1": node}, privileged=privileged)
    return node_spec(topology, "r1", image, LAB)


def test_foreign_image_gets_what_it_needs_inside_its_own_namespaces() -> None:
    planned = plain(cap_add=("NET_ADMIN", "SYS_TIME"))
    assert planned.capabilities is None, "and Docker's default set"
    assert {"NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_TIME"} <= set(planned.node.cap_add)
    assert len(planned.node.cap_add) == len(set(planned.node.cap_add))
    assert planned.devices == ("/dev/net/tun",)
    assert planned.terminal, "a shell would end without"
    assert planned.sysctls == {"net.ipv4.ip_forward": "1"}


def test_foreign_image_gets_the_default_set_if_the_file_says_unprivileged() -> None:
    planned = plain(privileged=False)
    assert planned.node.cap_add != ()
    unprivileged = Node(name="r1", kind="linux", image="frr:10", privileged=False, cap_add=("SYS_TIME",))
    topology = Topology(name="plain", file=Path("plain.clab.yml"), nodes={"r1": unprivileged}, privileged=True)
    planned = node_spec(topology, "r1", "frr:10", LAB)
    assert (planned.node.cap_add, planned.devices, planned.privileged) == (("SYS_TIME",), (), False)


def test_privileges_are_granted_only_when_asked_on_the_command_line() -> None:
    assert not plain().privileged
    assert plain(privileged=True).privileged
    assert not plain(OURS, privileged=True).privileged


def test_lab_image_without_keys_forwards_and_has_no_more_capabilities() -> None:
    planned = plain(OURS)
    assert (planned.capabilities, planned.node.cap_add, planned.terminal) == (("NET_RAW",), (), False)
    assert planned.sysctls == {"net.ipv4.ip_forward": "1"}


def test_foreign_image_has_the_variables_of_containerlab(article: Topology) -> None:
    planned = plain(env={"A": "b"}, labels={"role/of.it": "web"}, group="leaf")
    assert planned.node.env == {
        "A": "b",
        "CLAB_INTFS": "0",
        "CLAB_LABEL_ROLE_OF_IT": "web",
        "CLAB_LABEL_CONTAINERLAB": "plain",
        "CLAB_LABEL_CLAB_NODE_NAME": "r1",
        "CLAB_LABEL_CLAB_NODE_LONGNAME": "clab-plain-r1",
        "CLAB_LABEL_CLAB_NODE_KIND": "linux",
        "CLAB_LABEL_CLAB_NODE_GROUP": "leaf",
    }
    assert plain(OURS, env={"A": "b"}).node.env == {"A": "b"}
    transit = article.nodes["transit"].model_copy(update={"image": "x:1"})
    topology = article.model_copy(update={"nodes": {**article.nodes, "transit": transit}})
    assert spec(topology, "transit", "x:1").node.env["CLAB_INTFS"] == "2"


def test_external_node_has_the_files_login() -> None:
    topology = load("routeros")
    login = topology.nodes["ros"].model_copy(update={"credentials": Credentials(username="me", password="a b")})
    planned = spec(topology.model_copy(update={"nodes": {**topology.nodes, "ros": login}}), "ros", "x:1")
    assert planned.node.cmd is not None
    assert planned.node.cmd.startswith("--username me --password 'a b' --hostname ros ")
    assert (planned.node.env["USERNAME"], planned.node.env["PASSWORD"]) == ("me", "a b")
