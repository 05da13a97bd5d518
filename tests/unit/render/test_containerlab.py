"""Topologies for containerlab itself: valid there, plain here, with all that their nodes need."""

from pathlib import Path

import pytest

from lab.catalogue import load, topology_names
from lab.core.errors import InputError
from lab.render.containerlab import netem
from lab.render.howto import export
from lab.topology import Impairment, NodeIntent, Topology
from tests.helpers.clab_schema import mistakes


def rendered(topology: Topology, out: Path) -> Path:
    export(topology, out, target="containerlab")
    return out / f"{topology.name}.clab.yml"


@pytest.mark.parametrize("name", topology_names())
def test_file_is_valid_and_plain(name: str, tmp_path: Path) -> None:
    topology = load(name)
    file = rendered(topology, tmp_path / "out")
    assert mistakes(file.read_text()) == []
    plain = load(file)
    assert plain.tunnels == ()
    assert all(node.intent == NodeIntent() for node in plain.nodes.values())
    assert list(plain.nodes) == list(topology.nodes)
    assert not [remark.what for remark in plain.remarks if "has no effect" in remark.what]


@pytest.mark.parametrize("name", topology_names())
def test_script_sets_every_address_and_starts_every_process(name: str, tmp_path: Path) -> None:
    topology = load(name)
    rendered(topology, tmp_path / "out")
    scripts = {path.parent.name: path.read_text() for path in (tmp_path / "out").glob("*/start-node")}
    for link in topology.links:
        for end in link.endpoints:
            if not topology.nodes[end.node].external:
                assert all(f"{address} dev {end.interface}" in scripts[end.node] for address in end.addresses)
    for tunnel in topology.tunnels:
        assert f"--config /etc/openvpn/server/{tunnel.shared or tunnel.name}.conf" in scripts[tunnel.server]
        if not topology.nodes[tunnel.client].external:
            assert f"--config /etc/openvpn/client/{tunnel.name}.conf" in scripts[tunnel.client]
    for node, intended in topology.nodes.items():
        if intended.intent.router and not intended.external:
            program = {"frr": "zebra", "bird": "bird.ctl", "bird3": "bird.ctl"}[intended.intent.router.daemon]
            assert program in scripts[node]


BRIDGED = """\
name: bridged
topology:
  defaults: {kind: linux, image: "openvpn-routing-lab/node:2.6"}
  kinds: {linux: {network-mode: none}}
  nodes: {a: {exec: ["echo $$HOME > /x"]}, sw: {kind: bridge}, ovs: {kind: ovs-bridge}, b: {image: "other:1"}}
  links:
    - {endpoints: ["a:eth1", "sw:p1"], vars: {impair: {delay: 20, loss: 1}}}
    - {endpoints: ["sw:p2", "ovs:p3"]}
    - {endpoints: ["ovs:p4", "b:eth1"], ipv4: ["", 192.0.2.1/24]}
"""


def test_bridges_and_impairments_are_made_by_scripts(tmp_path: Path) -> None:
    (tmp_path / "x.clab.yml").write_text(BRIDGED)
    file = rendered(load(tmp_path / "x.clab.yml"), tmp_path / "out")
    assert mistakes(file.read_text()) == []
    nodes = load(file).nodes
    assert {node.kind for node in nodes.values()} == {"linux"}
    assert nodes["ovs"].image == "openvpn-routing-lab/ovs"
    assert nodes["b"].image == "other:1"
    assert nodes["a"].exec[0] == "sh -c 'echo $HOME > /x'"
    assert "ip link set p2 master sw\n" in (tmp_path / "out/sw/start-node").read_text()
    assert "add-port ovs p4\n" in (tmp_path / "out/ovs/start-node").read_text()
    assert "tc qdisc replace dev eth1 root netem delay 20ms loss 1%\n" in (tmp_path / "out/a/start-node").read_text()
    assert "192.0.2.1/24 dev eth1" in (tmp_path / "out/b/start-node").read_text()


def test_impairment_as_arguments_of_netem() -> None:
    everything = Impairment(delay=20, jitter=2.5, loss=1, rate=512, duplicate=3, reorder=4)
    assert netem(everything) == "delay 20ms 2.5ms loss 1% duplicate 3% reorder 4% rate 512kbit"


def test_kernel_tunnel_is_refused(tmp_path: Path) -> None:
    text = BRIDGED.replace(
        '["a:eth1", "sw:p1"], vars: {impair: {delay: 20, loss: 1}}',
        '["a:eth1", "b:eth2"], vars: {encapsulation: {kind: gre, outer: [192.0.2.9, 192.0.2.1]}}',
    )
    text += '    - {endpoints: ["a:eth3", "b:eth3"], ipv4: [192.0.2.9/24, 192.0.2.8/24]}\n'
    (tmp_path / "x.clab.yml").write_text(text)
    with pytest.raises(InputError, match=r"the link a:eth1 - b:eth2 is a kernel tunnel"):
        rendered(load(tmp_path / "x.clab.yml"), tmp_path / "out")


def test_own_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="files of your own are bound and started by this lab only"):
        rendered(load(Path("topologies/networks/branch-vpn.clab.yml")), tmp_path / "out")
