"""Packet filters of the user's in a topology: what the node gets, and what the lab says about them."""

import re
from pathlib import Path, PurePosixPath

import pytest

from lab.catalogue import load
from lab.core.errors import InputError
from lab.own import moved
from lab.render.node_spec import node_spec
from lab.topology import Topology, TopologyError, dump
from tests.helpers.own_files import write

TOPOLOGY = """name: own
topology:
  defaults: {{kind: linux, image: "openvpn-routing-lab/node:2.7", network-mode: none}}
  nodes:
    hq: {{config: {{vars: {{nftables: {rules}}}}}}}
    lan: {{}}
  links:
    - {{endpoints: ["hq:eth1", "lan:eth1"], ipv4: [10.1.0.1/24, 10.1.0.2/24]}}
"""
RULES = """table inet filter {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\tiif { "lo", "tun9" } accept
\t\tiifname "eth1" accept
\t}
\tflowtable f {
\t\thook ingress priority filter
\t\tdevices = { eth1, tun9 }
\t}
}
"""
IMAGE = "openvpn-routing-lab/node:2.7"
SAVED = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o ens3 -j MASQUERADE\nCOMMIT\n"


def loaded(directory: Path, rules: str, files: dict[str, str]) -> Topology:
    write(directory, {"own.clab.yml": TOPOLOGY.format(rules=rules), **files})
    return load(directory / "own.clab.yml")


def test_node_gets_the_file_and_the_capability_to_load_it(tmp_path: Path) -> None:
    topology = loaded(tmp_path, "hq/etc/nftables.conf", {"hq/etc/nftables.conf": RULES})
    (ruleset,) = topology.rulesets
    assert (ruleset.node, ruleset.form, ruleset.path) == ("hq", "nft", PurePosixPath("/etc/nftables.conf"))
    assert ruleset.tables == ("inet filter",)
    spec = node_spec(topology, "hq", IMAGE, tmp_path)
    assert spec.capabilities == ("NET_RAW", "NET_ADMIN")
    assert [mount.target for mount in spec.mounts if mount.target == ruleset.path] == [ruleset.path]
    assert node_spec(topology, "lan", IMAGE, tmp_path).capabilities == ("NET_RAW",)


def test_interfaces_that_are_not_there_yet_are_compared_by_name(tmp_path: Path) -> None:
    topology = loaded(tmp_path, "nft.txt", {"nft.txt": RULES})
    (file,) = topology.rulesets[0].files
    assert file.path == PurePosixPath("/etc/nftables/nft.txt")
    assert dict(file.replaced) == {4: '\t\tiifname { "lo", "tun9" } accept', 9: "\t\tdevices = { eth1 };"}
    told = {(r.kind, r.place) for r in topology.remarks if r.node == "hq"}
    assert told >= {("note", "nft.txt"), ("override", "nft.txt:4"), ("override", "nft.txt:9"), ("unknown", "nft.txt:4")}


def test_iptables_are_loaded_by_their_own_program_and_unknown_interfaces_told(tmp_path: Path) -> None:
    topology = loaded(tmp_path, "[rules.v4]", {"rules.v4": SAVED})
    assert (topology.rulesets[0].form, topology.rulesets[0].tables) == ("iptables", ("nat",))
    (unknown,) = [r for r in topology.remarks if r.kind == "unknown"]
    assert (unknown.place, "ens3 match nothing" in unknown.what) == ("rules.v4:3", True)
    known = loaded(tmp_path, "[rules.v4]", {"rules.v4": SAVED.replace("ens3", "eth1")})
    assert not [r for r in known.remarks if r.kind == "unknown"]


def test_includes_come_along(tmp_path: Path) -> None:
    files = {
        "hq/etc/nftables.conf": 'flush ruleset\ninclude "/etc/nftables.d/*.nft"\ninclude "vars.nft"\n',
        "hq/etc/nftables.d/10.nft": RULES,
        "hq/etc/vars.nft": "define wan = eth1\n",
    }
    (ruleset,) = loaded(tmp_path, "hq/etc/nftables.conf", files).rulesets
    assert [str(f.path) for f in ruleset.files] == ["/etc/nftables.conf", "/etc/nftables.d/10.nft", "/etc/vars.nft"]
    assert ruleset.files[1].replaced, "the lab reads them too"


@pytest.mark.parametrize(
    ("rules", "text", "message"),
    [
        ("nft.txt", "flush ruleset\n", "nftables: nft.txt has no table: write the output of `nft list ruleset`"),
        ("nft.txt", 'include "no.nft"\n' + RULES, "nft.txt:1: /etc/no.nft is not among the files: copy it too"),
        ("nft.txt", 'table ip nat {\nxt target "MASQUERADE"\n}\n', "nft.txt:2: nft lists the rule of iptables"),
        ("[nft.txt, x/nft.txt]", RULES, "x/nft.txt is /etc/nftables/nft.txt in hq, as another file"),
    ],
)
def test_file_that_cannot_be_loaded_is_refused(rules: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        loaded(tmp_path, rules, {"nft.txt": text, "x/nft.txt": text})
    loaded(tmp_path, "nft.txt", {"nft.txt": RULES})


@pytest.mark.parametrize("rules", ["no.txt", "[nft.txt, no.txt]", "{a: b}", '""'])
def test_wrong_value_is_a_mistake_with_its_place(rules: str, tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"own.clab.yml:5:\d+: "):
        loaded(tmp_path, rules, {"nft.txt": RULES})


def test_topology_elsewhere_names_the_same_file(tmp_path: Path) -> None:
    topology = loaded(tmp_path, "hq/etc/nftables.conf", {"hq/etc/nftables.conf": RULES})
    there = tmp_path / "elsewhere"
    there.mkdir()
    (there / "own.clab.yml").write_text(dump(moved(topology, there)))
    again = load(there / "own.clab.yml")
    assert again.nodes["hq"].intent.nftables == ("../hq/etc/nftables.conf",)
    assert again.rulesets[0].files[0].source == topology.rulesets[0].files[0].source


def test_hostile_include_stays_inside_the_hosts_directory(tmp_path: Path) -> None:
    write(tmp_path, {"secret.nft": RULES})
    files = {"hq/etc/nftables.conf": 'include "/etc/../../secret.nft"\n' + RULES}
    with pytest.raises(InputError, match="is not among the files"):
        loaded(tmp_path, "hq/etc/nftables.conf", files)
    loop = {"hq/etc/nftables.conf": 'include "/etc/nftables.conf"\n' + RULES}
    assert len(loaded(tmp_path, "hq/etc/nftables.conf", loop).rulesets[0].files) == 1


def test_port_forward_of_a_ruleset_leads_to_the_server_behind_it(tmp_path: Path) -> None:
    text = """name: own
topology:
  defaults: {kind: linux, image: "openvpn-routing-lab/node:2.7", network-mode: none}
  nodes:
    client: {config: {vars: {openvpn: [{config: client.conf}]}}}
    nat: {config: {vars: {nftables: nat.nft}}}
    one: {config: {vars: {openvpn: [{config: one.conf}]}}}
    two: {config: {vars: {openvpn: [{config: two.conf}]}}}
  links:
    - {endpoints: ["client:eth1", "nat:eth1"], ipv4: [203.0.113.2/24, 203.0.113.1/24]}
    - {endpoints: ["nat:eth2", "one:eth1"], ipv4: [10.1.0.1/24, 10.1.0.2/24]}
    - {endpoints: ["nat:eth3", "two:eth1"], ipv4: [10.2.0.1/24, 10.2.0.2/24]}
"""
    server = "dev tun\nserver 10.{n}.9.0 255.255.255.0\nca ca\ncert c\nkey k\ndh none\n"
    rule = "table ip nat {{\nchain p {{\nudp dport 1195 dnat to {to}:1194\n}}\n}}\n"
    files = {
        "own.clab.yml": text,
        "client.conf": "client\ndev tun\nremote 203.0.113.1 1195\nca ca\ncert c\nkey k\n",
        "one.conf": server.format(n=8),
        "two.conf": server.format(n=9),
    }
    for to, node in (("10.1.0.2", "one"), ("10.2.0.2", "two")):
        write(tmp_path, {**files, "nat.nft": rule.format(to=to)})
        topology = load(tmp_path / "own.clab.yml")
        (tunnel,) = topology.tunnels
        assert (tunnel.client, tunnel.server, str(tunnel.server_outer)) == ("client", node, "203.0.113.1")
        assert not [r for r in topology.remarks if r.what.startswith("remote")]
    write(tmp_path, {"nat.nft": rule.format(to="10.3.0.2")})
    assert not load(tmp_path / "own.clab.yml").tunnels
