"""VRFs of nodes: what the topology makes of them, and sessions of own routers in them."""

import re
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.core.errors import InputError
from lab.own import vrfs_of
from lab.routing import plan_routers
from lab.topology import Topology, TopologyError, dump
from tests.helpers.own_files import write

TOPOLOGY = """name: own
topology:
  defaults: {{kind: linux, image: "openvpn-routing-lab/node:2.7", network-mode: none}}
  nodes:
    hq:
      config: {{vars: {{vrfs: {vrfs}, router: {{config: hq.conf}}, routes: [{{to: 10.9.0.0/16, via: 10.1.0.9}}]}}}}
    branch: {{config: {{vars: {{router: {{config: branch.conf}}}}}}}}
    far: {{config: {{vars: {{router: {{config: branch.conf}}}}}}}}
  links:
    - {{endpoints: ["hq:eth1", "branch:eth1"], ipv4: [10.1.0.1/24, 10.1.0.2/24]}}
    - {{endpoints: ["hq:eth2", "far:eth1"], ipv4: [10.2.0.1/24, 10.2.0.2/24]}}
"""
HQ = (
    "router bgp 65001 vrf blue\n neighbor 10.1.0.2 remote-as 65002\n address-family ipv4 unicast\n"
    "  network 10.77.0.0/24\n exit-address-family\nexit\n"
)
DEFAULT = "router bgp 65001\n neighbor 10.2.0.2 remote-as 65002\n network 10.78.0.0/24\nexit\n"
BRANCH = "router bgp 65002\n neighbor 10.1.0.1 remote-as 65001\n"


def loaded(directory: Path, vrfs: str, hq: str = HQ) -> Topology:
    write(directory, {"own.clab.yml": TOPOLOGY.format(vrfs=vrfs), "hq.conf": hq, "branch.conf": BRANCH})
    return load(directory / "own.clab.yml")


def test_vrf_has_interfaces_and_the_static_routes_through_them(tmp_path: Path) -> None:
    topology = loaded(tmp_path, "{blue: {table: 10, interfaces: [eth1]}, red: {table: 11, interfaces: [eth2]}}")
    blue, red = vrfs_of(topology, "hq")
    assert (blue.name, blue.table, [str(a) for m in blue.members for a in m.addresses]) == ("blue", 10, ["10.1.0.1/24"])
    assert blue.routes == (("10.9.0.0/16", "10.1.0.9"),)
    assert red.routes == ()
    assert vrfs_of(topology, "branch") == []
    (tmp_path / "again.clab.yml").write_text(dump(topology))
    assert load(tmp_path / "again.clab.yml").nodes["hq"].intent.vrfs == topology.nodes["hq"].intent.vrfs


def test_session_in_a_vrf_is_with_the_node_on_one_of_its_interfaces(tmp_path: Path) -> None:
    topology = loaded(tmp_path, "{blue: {table: 10, interfaces: [eth1]}}")
    own = topology.own_routers["hq"]
    assert [(str(n.address), n.vrf) for n in own.neighbors] == [("10.1.0.2", "blue")]
    assert (own.asn, own.vrf, own.vrfs, [str(p) for p in own.networks]) == (65001, "blue", ("blue",), ["10.77.0.0/24"])
    assert [(p.node, str(p.address)) for p in plan_routers(topology)["hq"].peers] == [("branch", "10.1.0.2")]
    elsewhere = loaded(tmp_path, "{blue: {table: 10, interfaces: [eth2]}}")
    assert plan_routers(elsewhere)["hq"].peers == ()


def test_default_instance_announces_where_there_is_one(tmp_path: Path) -> None:
    topology = loaded(tmp_path, "{blue: {table: 10, interfaces: [eth1]}}", DEFAULT + HQ)
    own = topology.own_routers["hq"]
    assert (own.vrf, own.vrfs, [str(p) for p in own.networks]) == (None, ("blue",), ["10.78.0.0/24"])
    peers = {(p.node, str(p.address)) for p in plan_routers(topology)["hq"].peers}
    assert peers == {("branch", "10.1.0.2"), ("far", "10.2.0.2")}


@pytest.mark.parametrize(
    ("vrfs", "message"),
    [
        ("{blue: {table: 10, interfaces: [tun7]}}", "hq has no interface tun7: it has eth1, eth2"),
        ("{blue: {table: 254}}", "254 is the table of the kernel itself: choose another"),
        ("{blue: {table: 10}, red: {table: 10}}", "red.table: 10 is the table of blue: choose another"),
        (
            "{blue: {table: 10, interfaces: [eth1]}, red: {table: 11, interfaces: [eth1]}}",
            "eth1 is in the VRF blue already",
        ),
    ],
)
def test_vrf_that_cannot_be_made_is_refused(vrfs: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        loaded(tmp_path, vrfs)


@pytest.mark.parametrize(
    "vrfs", ["{blue: {}}", "{blue: {table: 0}}", "{a/b: {table: 1}}", "[blue]", "{blue: {tabel: 1}}"]
)
def test_wrong_value_is_a_mistake_with_its_place(vrfs: str, tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"own.clab.yml:6:\d+: "):
        loaded(tmp_path, vrfs)
