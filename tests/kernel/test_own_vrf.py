"""Routers with files of the user's in VRFs, FRR at one end and BIRD at the other, with sessions and announcements."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from lab.catalogue import load
from lab.observe.rtnetlink import MAIN_TABLE
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.status.overview import report
from lab.topology import Prefix
from tests.helpers.own_files import deployed, own_name, write

pytestmark = [pytest.mark.docker, pytest.mark.variants, pytest.mark.needs_kernel("vrf")]

TOPOLOGY = """name: {name}
topology:
  defaults: {{kind: linux, image: "openvpn-routing-lab/node:2.6", network-mode: none}}
  nodes:
    hq:
      config:
        vars:
          vrfs: {{blue: {{table: 10, interfaces: [tun0, eth2]}}}}
          openvpn: [{{config: hq/etc/openvpn/branch.conf}}]
          router: {{daemon: frr, config: hq/etc/frr/frr.conf}}
    branch:
      config:
        vars:
          vrfs: {{blue: {{table: 20, interfaces: [tun0, eth2]}}}}
          openvpn: [{{config: branch/etc/openvpn/hq.conf}}]
          router: {{daemon: bird, config: branch/etc/bird/bird.conf}}
    hq-lan: {{config: {{vars: {{routes: [{{to: default, via: hq}}]}}}}}}
    branch-lan: {{config: {{vars: {{routes: [{{to: default, via: branch}}]}}}}}}
  links:
    - {{endpoints: ["hq:eth1", "branch:eth1"], ipv4: [198.51.100.1/30, 198.51.100.2/30]}}
    - {{endpoints: ["hq:eth2", "hq-lan:eth1"], ipv4: [10.1.0.1/24, 10.1.0.10/24]}}
    - {{endpoints: ["branch:eth2", "branch-lan:eth1"], ipv4: [10.2.0.1/24, 10.2.0.10/24]}}
"""
OPENVPN = """dev tun0
proto udp
port 1194
ca ca.crt
cert own.crt
key own.key
dh none
keepalive 10 60
"""
FRR = """vrf blue
exit-vrf
router bgp 65001 vrf blue
 bgp router-id 192.0.2.1
 no bgp ebgp-requires-policy
 neighbor 10.255.0.2 remote-as 65002
 neighbor 10.255.0.2 timers 1 3
 neighbor 10.255.0.2 timers connect 1
 address-family ipv4 unicast
  network 10.1.0.0/24
 exit-address-family
exit
"""
BIRD = """router id 192.0.2.2;
ipv4 table blue4;
protocol device {}
protocol direct { vrf "blue"; ipv4 { table blue4; }; interface "eth2"; }
protocol kernel { vrf "blue"; kernel table 20; ipv4 { table blue4; export all; }; }
protocol bgp hq {
  vrf "blue";
  local 10.255.0.2 as 65002;
  neighbor 10.255.0.1 as 65001;
  connect retry time 1;
  ipv4 { table blue4; import all; export all; next hop self; };
}
"""
ANNOUNCED = {"hq": ip_network("10.77.0.0/24"), "branch": ip_network("10.78.0.0/24")}
OTHER = {"hq": "branch", "branch": "hq"}
TABLES = {"hq": 10, "branch": 20}
WITHIN = 90


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    directory = tmp_path_factory.mktemp("vrf")
    files = {
        "lab.clab.yml": TOPOLOGY.format(name=own_name("vrf")),
        "hq/etc/openvpn/branch.conf": OPENVPN + "tls-server\nifconfig 10.255.0.1 10.255.0.2\n",
        "branch/etc/openvpn/hq.conf": OPENVPN + "tls-client\nifconfig 10.255.0.2 10.255.0.1\nremote 198.51.100.1\n",
        "hq/etc/frr/frr.conf": FRR,
        "branch/etc/bird/bird.conf": BIRD,
    }
    write(directory, files)
    with deployed(load(directory / "lab.clab.yml"), directory / "lab") as lab:
        yield lab


def expect_route(node: LabNode, prefix: Prefix) -> None:
    """Wait for a route through the tunnel, in the table of the VRF."""
    node.expect_in_fib([prefix], via="tun0", within=WITHIN)
    entry = node.fib.route(prefix)
    assert entry is not None
    assert entry.table == TABLES[node.name]
    assert entry.table != MAIN_TABLE


def test_sessions_in_a_vrf_are_shown_and_packets_pass(lab: Lab) -> None:
    sessions = {session.node: (session.neighbor, session.up, session.vrf) for session in report(lab).sessions}
    assert sessions == {"hq": ("branch", True, "blue"), "branch": ("hq", True, None)}
    expect_route(lab.node("hq"), ip_network("10.2.0.0/24"))
    expect_route(lab.node("branch"), ip_network("10.1.0.0/24"))
    lab.node("hq-lan").expect_reaches(ip_address("10.2.0.10"), within=WITHIN)
    assert lab.node("hq").exec("ip", "-4", "route", "show", "10.2.0.0/24").stdout == "", "not in the main table"


@pytest.mark.parametrize("name", ["hq", "branch"])
def test_prefix_is_announced_and_withdrawn_in_the_vrf(lab: Lab, name: str) -> None:
    router, other, prefix = lab.router(name), lab.node(OTHER[name]), ANNOUNCED[name]
    router.announce([prefix])
    expect_route(other, prefix)
    router.withdraw([prefix])
    other.expect_not_in_fib([prefix], within=WITHIN)
