"""Attributes by prefix in FRR's route maps: parsed entries, and the lines that change them."""

from ipaddress import ip_address, ip_network

from lab.routing import Attributes, Peer
from lab.routing.frr.policy import default_set_lines, entries, read_entries

SHOWN = """ZEBRA:
BGP:
route-map: OUT-tun0-ipv4 Invoked: 2 (0 milliseconds total) Optimization: enabled Processed Change: false
 permit, sequence 10 Invoked 2 (0 milliseconds total)
  Match clauses:
    ip address prefix-list ONLY-10.9.0.0/24
  Set clauses:
    metric 5
  Call clause:
  Action:
    Exit routemap
 permit, sequence 65535 Invoked 1 (0 milliseconds total)
  Match clauses:
  Set clauses:
"""
ONE, TWO = ip_network("10.9.0.0/24"), ip_network("10.8.0.0/24")


def test_entries_are_read_by_their_prefix_list() -> None:
    assert read_entries(SHOWN) == {"ONLY-10.9.0.0/24": 10, "": 65535}
    assert read_entries("") == {}


def test_new_route_map_permits_all_other_prefixes_as_before() -> None:
    lines = entries("M", "ipv4", [ONE], Attributes(med=5, prepend=2), {}, 65001, ["set local-preference 200"])
    assert lines == [
        "route-map M permit 65535",
        "set local-preference 200",
        "exit",
        "ip prefix-list ONLY-10.9.0.0/24 permit 10.9.0.0/24",
        "route-map M permit 10",
        "match ip address prefix-list ONLY-10.9.0.0/24",
        "set local-preference 200",
        "set metric 5",
        "set as-path prepend 65001 65001",
        "exit",
    ]


def test_existing_entry_is_replaced_and_a_new_one_appended() -> None:
    lines = entries("M", "ipv4", [ONE, TWO], Attributes(local_pref=7), read_entries(SHOWN), 65001, [])
    assert [line for line in lines if "route-map" in line] == [
        "no route-map M permit 10",
        "route-map M permit 10",
        "route-map M permit 20",
    ]
    assert entries("M", "ipv4", [ONE, TWO], None, read_entries(SHOWN), 65001, []) == ["no route-map M permit 10"]


def test_next_hop_is_set_only_in_its_family() -> None:
    hop = Attributes(next_hop=ip_address("2001:db8::1"))
    assert "set ipv6 next-hop global 2001:db8::1" in entries(
        "M", "ipv6", [ip_network("2001:db8:9::/64")], hop, {}, 1, []
    )
    assert not any("next-hop" in line for line in entries("M", "ipv4", [ONE], hop, {}, 1, []))


def test_set_lines_of_the_default_route_map_are_kept() -> None:
    peer = Peer("b", ip_address("10.255.0.2"), 65002, "tun0", preference=200)
    assert default_set_lines(peer, "ipv6", "in") == ["set local-preference 200", "set ipv6 next-hop prefer-global"]
    assert default_set_lines(peer, "ipv4", "in") == ["set local-preference 200"]
    assert default_set_lines(peer, "ipv6", "out") == []
