"""FRR with files of the user's: the lines that it refused, and what the lab reads in its running configuration."""

from ipaddress import ip_network

from lab.routing.frr.own import refused_lines
from lab.routing.frr.own_routes import bgp_networks, read_externals

INTEGRATED = """\
router bgp 65001
 neighbor 10.255.0.2 remote-as 65002
 neighbor 10.255.0.2 password frobnicate-s3cret frobnicate
 network 10.1.0.0/24
"""
# The log of FRR 10.3 in the node image: `vtysh -C`, then what `vtysh -b` of each daemon says.
INTEGRATED_LOG = """\
Configuration file[/etc/frr/frr.conf] processing failure: 2
line 3: % Unknown command[28]:  neighbor 10.255.0.2 password frobnicate-s3cret frobnicate
[49|mgmtd] sending configuration
line 3: % Unknown command[28]:  neighbor 10.255.0.2 password frobnicate-s3cret frobnicate
line 4: Failure to communicate[13] to bgpd, line:  network 10.1.0.0/24
"""
SPLIT = {
    "zebra.conf": "hostname zebra-hq\nip route 10.77.0.0/16 Null0\ninterface eth1\n wrong here\n",
    "bgpd.conf": "hostname bgpd\nrouter bgp 65001\n neighbor 10.255.0.2 frobnicate 7\n",
}
SPLIT_LOG = """\
2026/11/30 07:54:23 MGMTD: [ZP80B-GRJR7] mgmtd: reading config file: /etc/frr//zebra.conf
2026/11/30 07:54:23 MGMTD: [SHWNK-NWT5S][EC 100663304] No such command on config line 4:  wrong here
2026/11/30 07:54:24 ZEBRA: [SHWNK-NWT5S][EC 100663304] No such command on config line 2: ip route 10.77.0.0/16 Null0
2026/11/30 07:54:24 ZEBRA: [SHWNK-NWT5S][EC 100663304] No such command on config line 4:  wrong here
2026/11/30 07:54:24 BGP: [SHWNK-NWT5S][EC 100663304] No such command on config line 3:  neighbor 10.255.0.2 frobnicate 7
"""


def test_refused_lines_of_an_integrated_configuration_are_named_once() -> None:
    found = refused_lines(INTEGRATED_LOG.splitlines(), {"frr.conf": INTEGRATED, "daemons": "bgpd=yes\n"})
    assert [(name, line) for name, line, _ in found] == [("frr.conf", 3), ("frr.conf", 4)]
    assert "s3cret" not in found[0][2]
    assert found[1][2].startswith("bgpd does not accept the line")


def test_line_of_a_split_file_is_refused_if_all_its_readers_refuse_it() -> None:
    found = refused_lines(SPLIT_LOG.splitlines(), SPLIT)
    assert [(name, line) for name, line, _ in found] == [("bgpd.conf", 3), ("zebra.conf", 4)], "not mgmtd's ip route"


def test_no_refusal_without_a_log() -> None:
    assert refused_lines([], SPLIT) == refused_lines([], {"frr.conf": INTEGRATED}) == []


def test_networks_of_both_families_are_read() -> None:
    running = "router bgp 1\n address-family ipv4 unicast\n  network 10.1.0.0/24\n  network 10.2.0.0/16 route-map X\n"
    running += " address-family ipv6 unicast\n  network 2001:db8::/32\n"
    assert bgp_networks(running) == {ip_network(p) for p in ("10.1.0.0/24", "10.2.0.0/16", "2001:db8::/32")}


def test_external_lsas_are_the_prefixes_that_ospf_redistributes() -> None:
    state = {"lsaAge": 3, "linkStateId": "10.1.0.0", "networkMask": 24}
    flushed = {"lsaAge": 3600, "linkStateId": "10.9.0.0", "networkMask": 24}
    assert read_externals({"asExternalLinkStates": [state, flushed]}, "ipv4") == [ip_network("10.1.0.0/24")]
    lsas = [{"type": "ASE", "age": 3, "payload": "2001:db8:1::/64"}]
    assert read_externals({"asScopedLinkStateDb": [{"lsa": lsas}]}, "ipv6") == [ip_network("2001:db8:1::/64")]
    assert read_externals({}, "ipv4") == read_externals({}, "ipv6") == []
