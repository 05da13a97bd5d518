"""The management network: addresses, names, published ports, shared namespaces, and nothing left after it."""

import json
import random
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import docker
import pytest
from pyroute2 import IPRoute

from lab.catalogue import load
from lab.core.errors import InputError
from lab.core.process import this_process
from lab.engine import Engine
from lab.host.hosts_file import HOSTS
from lab.runtime.destroy import destroy
from lab.runtime.lab import Lab
from lab.runtime.store import LabDirectory
from lab.status.inventory import hosts
from lab.status.labs import summaries
from lab.status.topology_data import topology_data
from lab.topology import Topology
from tests.helpers.labs import IMAGE, assert_nothing_left, host_interface, new_name

pytestmark = [pytest.mark.docker, pytest.mark.only_docker("has no management network")]

INSIDE = host_interface("mgmt0")
FILE = f"""\
name: NAME
mgmt: {{network: NAME-net, ipv4-subnet: 172.31.SUBNET.0/24, ipv6-subnet: "2001:db8:SUBNET::/64", mtu: 1400}}
topology:
  defaults: {{kind: linux, image: "{IMAGE}"}}
  nodes:
    web:
      mgmt-ipv4: 172.31.SUBNET.77
      aliases: [www]
      ports: ["127.0.0.1::80"]
    pc: {{}}
    side: {{network-mode: "container:web"}}
    beyond: {{network-mode: host}}
    alone: {{network-mode: none}}
  links:
    - endpoints: ["web:eth1", "pc:eth1"]
    - {{endpoints: ["alone:eth1", "mgmt-net:INSIDE"], ipv4: [172.31.SUBNET.99/24]}}
"""


def written(directory: Path, name: str, subnet: int, text: str = FILE) -> Topology:
    file = directory / f"{name}.clab.yml"
    file.write_text(text.replace("NAME", name).replace("SUBNET", str(subnet)).replace("INSIDE", INSIDE))
    return load(file)


def free_subnet(client: docker.DockerClient) -> int:
    """Return a number of a subnet that no network of Docker's has, of this run or another."""
    taken = json.dumps([network.attrs["IPAM"] for network in client.networks.list()])
    numbers = [n for n in range(128, 255) if f"172.31.{n}." not in taken and f"2001:db8:{n}:" not in taken]
    return random.choice(numbers)


def networks(client: docker.DockerClient, name: str) -> list[str]:
    return [str(network.name) for network in client.networks.list(filters={"label": f"openvpn-routing-lab.lab={name}"})]


@pytest.fixture(scope="module")
def subnet(client: docker.DockerClient) -> int:
    return free_subnet(client)


@pytest.fixture(scope="module")
def lab(engine: Engine, subnet: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    place = tmp_path_factory.mktemp("mgmt")
    topology = written(place, new_name(), subnet)
    lab = Lab.deploy(topology, engine=engine, directory=place / "lab", owner=this_process())
    yield lab
    lab.destroy()


def addresses(lab: Lab, node: str, interface: str = "eth0") -> set[str]:
    shown = lab.node(node).exec("ip", "-json", "address", "show", interface).raise_on_error().stdout
    return {info["local"] for info in json.loads(shown)[0]["addr_info"]}


def test_nodes_have_addresses_in_both_families(lab: Lab, subnet: int) -> None:
    assert f"172.31.{subnet}.77" in addresses(lab, "web")
    assert any(address.startswith(f"2001:db8:{subnet}::") for address in addresses(lab, "pc"))
    shown = lab.node("pc").exec("cat", "/sys/class/net/eth0/mtu").stdout.strip()
    assert shown == "1400"


def test_names_of_nodes_resolve_in_nodes_and_on_the_host(lab: Lab, subnet: int) -> None:
    container = lab.nodes["web"].container
    for name in (container, "www"):
        assert lab.node("pc").exec("getent", "ahostsv4", name).stdout.split()[0] == f"172.31.{subnet}.77"
    assert f"172.31.{subnet}.77\t{container}\n" in HOSTS.read_text()


def test_port_is_published_where_the_file_says(lab: Lab, client: docker.DockerClient) -> None:
    (published,) = client.containers.get(lab.nodes["web"].container).ports["80/tcp"] or []
    assert published["HostIp"] == "127.0.0.1"
    assert client.containers.get(lab.nodes["pc"].container).ports == {}
    with (
        lab.running_nodes["web"].namespace.run(lambda: socket.create_server(("", 80))) as server,
        socket.create_connection(("127.0.0.1", int(published["HostPort"])), timeout=10) as connection,
    ):
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"hello")
            assert connection.recv(5) == b"hello"


def test_namespace_of_another_container_is_shared(lab: Lab) -> None:
    assert addresses(lab, "side") == addresses(lab, "web")
    assert lab.node("side").exec("cat", "/sys/class/net/eth1/mtu").stdout == "9500\n"


def test_namespace_of_the_host_is_shared_without_privileges_in_it(lab: Lab) -> None:
    inside = lab.node("beyond").exec("readlink", "/proc/self/ns/net").stdout.strip()
    assert inside == str(Path("/proc/self/ns/net").readlink())
    assert lab.node("beyond").exec("ip", "link", "add", "lab-try", "type", "dummy").failed


def test_node_that_says_none_is_not_in_the_network(lab: Lab) -> None:
    assert lab.node("alone").exec("ip", "link", "show", "eth0").failed


def test_link_leads_into_the_network(lab: Lab, subnet: int) -> None:
    lab.node("alone").expect_reaches(ip_address(f"172.31.{subnet}.77"))
    with IPRoute() as ip:
        (index,) = ip.link_lookup(ifname=INSIDE)
        master = ip.get_links(index)[0].get_attr("IFLA_MASTER")
        bridge = ip.get_links(master)[0].get_attr("IFLA_IFNAME")
    assert [network.bridge for network in lab.engine.networks(lab.name)] == [bridge]


NODE_KEYS = (
    *("index", "shortname", "longname", "fqdn", "group", "labdir", "kind", "image", "mgmt-net", "mgmt-intf"),
    *("mgmt-ipv4-address", "mgmt-ipv4-prefix-length", "mgmt-ipv6-address", "mgmt-ipv6-prefix-length"),
    *("mac-address", "labels", "port-bindings"),
)
"""The keys of a node in the file that containerlab 0.79 writes, in its order."""


def test_data_of_the_lab_is_as_containerlab_writes_it(lab: Lab, subnet: int, client: docker.DockerClient) -> None:
    data = json.loads(json.dumps(topology_data(lab)))
    assert list(data) == ["name", "type", "clab", "ssh-pub-keys", "nodes", "links"]
    mgmt = data["clab"]["config"]["mgmt"]
    assert (mgmt["network"], mgmt["ipv4-subnet"]) == (f"{lab.name}-net", f"172.31.{subnet}.0/24")
    assert mgmt["bridge"] == lab.engine.networks(lab.name)[0].bridge
    web, alone = data["nodes"]["web"], data["nodes"]["alone"]
    assert tuple(web) == tuple(alone) == NODE_KEYS
    assert (web["mgmt-ipv4-address"], web["mgmt-ipv4-prefix-length"]) == (f"172.31.{subnet}.77", 24)
    assert (alone["mgmt-ipv4-address"], alone["mgmt-ipv4-prefix-length"]) == ("", 0)
    assert client.containers.get(web["longname"]).name == lab.nodes["web"].container
    assert web["labels"]["clab-node-longname"] == web["longname"]
    (port,) = web["port-bindings"]
    assert (port["host-ip"], port["port"], port["protocol"]) == ("127.0.0.1", 80, "tcp")
    first, last = (link["endpoints"] for link in data["links"])
    mac = lab.node("web").exec("cat", "/sys/class/net/eth1/address").stdout.strip()
    assert first["a"] == {"node": "web", "interface": "eth1", "mac": mac, "peer": "z"}
    assert (last["a"]["ipv4"], last["z"]["node"], last["z"]["interface"]) == (
        f"172.31.{subnet}.99/24",
        "mgmt-net",
        INSIDE,
    )
    assert len(last["z"]["mac"]) == len(mac)


def test_inventory_names_the_addresses(lab: Lab, subnet: int) -> None:
    found = {host.node.name: host.address for host in hosts(lab)}
    assert found["web"] == f"172.31.{subnet}.77"
    assert found["alone"] == ""


def test_taken_network_is_refused_and_left_alone(
    lab: Lab, subnet: int, engine: Engine, client: docker.DockerClient, tmp_path: Path
) -> None:
    name = new_name()
    for text, what in (
        (FILE.replace("NAME-net", f"{lab.name}-net"), "exists already"),
        (FILE, "another network of this host has them"),
    ):
        topology = written(tmp_path, name, subnet, text)
        with pytest.raises(InputError, match=what):
            Lab.deploy(topology, engine=engine, directory=tmp_path / "lab", owner=this_process())
        assert_nothing_left(name, engine, tmp_path / "lab")
    assert networks(client, lab.name) == [f"{lab.name}-net"]


def test_killed_deployment_leaves_no_network(
    engine: Engine, client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the network was created and before any node was."""
    monkeypatch.chdir(tmp_path)
    name = new_name()
    topology = written(tmp_path, name, free_subnet(client))
    store = LabDirectory.default(name)
    store.create(topology)
    assert topology.management is not None
    engine.create_network(name, topology.management, store.path, "", fixed=True)
    assert networks(client, name) == [f"{name}-net"]
    assert destroy(name, engine=engine)
    assert networks(client, name) == []


def test_lab_takes_its_network_and_its_names_with_it(
    engine: Engine, client: docker.DockerClient, tmp_path: Path
) -> None:
    """By the defaults, whose subnet another lab may have."""
    name = new_name()
    text = f"name: {name}\ntopology: {{nodes: {{aa: {{kind: linux, image: '{IMAGE}', ports: ['127.0.0.1::81']}}}}}}\n"
    lab = Lab.deploy(written(tmp_path, name, 0, text), engine=engine, directory=tmp_path / "lab", owner=this_process())
    assert networks(client, name)[0].startswith("clab")
    assert f"clab-{name}-aa" in HOSTS.read_text()
    lab.destroy()
    assert networks(client, name) == []
    assert f"clab-{name}-aa" not in HOSTS.read_text()
    assert_nothing_left(name, engine, tmp_path / "lab")


def test_network_of_a_lab_that_was_killed_before_its_first_node_is_removed(
    engine: Engine, client: docker.DockerClient, tmp_path: Path
) -> None:
    text = FILE.replace("INSIDE", host_interface("mgmt1"))
    topology = written(tmp_path, new_name(), free_subnet(client), text)
    store = LabDirectory(tmp_path / "lab")

    def kill() -> None:
        store.create(topology)
        assert topology.management is not None
        engine.create_network(topology.name, topology.management, store.path, "", fixed=False)
        assert networks(client, topology.name) == [f"{topology.name}-net"]

    kill()
    assert engine.find(topology.name) == []
    (row,) = [s for s in summaries(engine) if s.name == topology.name]
    assert (row.nodes_running, row.nodes_total, row.directory) == (0, 5, store.path)
    assert destroy(topology.name, engine=engine)
    assert networks(client, topology.name) == []
    assert_nothing_left(topology.name, engine, store.path)
    kill()
    with Lab.deploy(topology, engine=engine, directory=store.path, owner=this_process()) as lab:
        assert networks(client, topology.name) == [f"{topology.name}-net"]
        lab.destroy()
    assert networks(client, topology.name) == []
