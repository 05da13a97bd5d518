"""Which hosts are expected to reach which, with packets of which size, and which links are outside."""

from pathlib import Path

import pytest

from lab.advise import ends_of_topology
from lab.catalogue import load, topologies_dir
from lab.check.derived.reach import Way, Ways, inner_addresses, name_of
from lab.check.derived.sessions import Sessions
from lab.check.derived.sites import hosts_behind, links_outside
from lab.topology import Topology
from tests.helpers.edited import edited
from tests.helpers.networks import DN42, ROADWARRIORS

BOTH = ("ipv4", "ipv6")


def ways(topology: Topology) -> list[Way]:
    ends = tuple(ends_of_topology(topology))
    configurations = {end.node: end.subject.router for end in ends if end.subject.router}
    return list(Ways(topology, tuple(Sessions(topology, configurations).arrivals()), ends))


def pairs(topology: Topology) -> set[tuple[str, str, str]]:
    return {(way.source, name_of(topology, way.host), way.family) for way in ways(topology)}


def named(name: str, *changes: tuple[str, str]) -> Topology:
    return edited(topologies_dir() / f"{name}.clab.yml", *changes)


def test_hosts_behind_each_end_reach_each_other() -> None:
    topology = named("article")
    lans = {("hq-lan", "branch-lan"), ("branch-lan", "hq-lan")}
    assert pairs(topology) == {(*pair, family) for pair in lans for family in BOTH}
    assert {way.size for way in ways(topology)} == {1500}


def test_network_that_no_end_announces_is_not_expected() -> None:
    less = ('networks: [10.2.0.0/24, "2001:db8:2::/64"]', "networks: [10.2.0.0/24]")
    assert {family for _, _, family in pairs(named("article", less))} == {"ipv4"}


def test_fixed_routes_lead_both_ways_or_not_at_all() -> None:
    lans = {("hq-lan", "branch-lan"), ("branch-lan", "hq-lan")}
    assert pairs(named("fixed-routes")) == {(*pair, family) for pair in lans for family in BOTH}
    without = ('server-networks: [10.1.0.0/24, "2001:db8:1::/64"]', 'server-networks: ["2001:db8:1::/64"]')
    assert pairs(named("fixed-routes", without)) == {(*pair, "ipv6") for pair in lans}


def test_client_without_hosts_uses_the_tunnel_itself() -> None:
    assert pairs(named("road-warrior")) == {("user", "office-lan", "ipv4")}
    assert pairs(named("road-warrior", ("- {to: 192.168.100.0/24, metric: 1}\n", "\n"))) == set()
    assert pairs(named("road-warrior-bgp")) == {("user", "office-lan", "ipv4")}


def test_pushed_routes_lead_a_client_through_its_server(tmp_path: Path) -> None:
    def of_laptop(topology: Topology) -> set[tuple[str, str]]:
        return {(there, family) for source, there, family in pairs(topology) if source == "laptop"}

    lans = {"hub-lan", "east-lan", "west-lan"}
    assert of_laptop(load(ROADWARRIORS.copy(tmp_path / "a"))) == {(lan, family) for lan in lans for family in BOTH}
    ignoring = ("client\ndev tun\n", 'client\ndev tun\npull-filter ignore "route 10"\n')
    assert of_laptop(ROADWARRIORS.changed(tmp_path / "b", "laptop/laptop.ovpn", ignoring)) == {
        (lan, "ipv6") for lan in lans
    }
    nothing = ("client\ndev tun\n", "client\ndev tun\nroute-nopull\n")
    assert of_laptop(ROADWARRIORS.changed(tmp_path / "c", "laptop/laptop.ovpn", nothing)) == set()


def test_size_is_that_of_the_narrowest_device(tmp_path: Path) -> None:
    assert {way.size for way in ways(load(DN42.copy(tmp_path / "a")))} == {1400}
    wider = ("tun-mtu 1400", "tun-mtu 1420")
    assert {way.size for way in ways(DN42.changed(tmp_path / "b", "alder/etc/openvpn/birch.conf", wider))} == {1400}
    narrow = ('"hq-lan:eth1"]\n      mtu: 1500', '"hq-lan:eth1"]\n      mtu: 1300')
    assert {way.size for way in ways(named("article", narrow))} == {1300}


SECOND_LINK = ("  links:\n", '  links:\n    - endpoints: ["transit:eth9", "hq-lan:eth9"]\n')
FORWARDS = ("    hq-lan:\n", "    hq-lan:\n      sysctls: {net.ipv4.ip_forward: 1}\n")
ELSEWHERE = ("routes: [{to: default, via: hq}]", "routes: [{to: 192.0.2.0/24, via: 10.1.0.77}]")


@pytest.mark.parametrize(
    ("changes", "families"),
    [
        ((), BOTH),
        ((FORWARDS,), ("ipv6",)),
        ((SECOND_LINK,), BOTH),
        ((ELSEWHERE,), BOTH),
        ((SECOND_LINK, ELSEWHERE), ()),
    ],
)
def test_host_does_not_forward_and_uses_its_site(
    changes: tuple[tuple[str, str], ...], families: tuple[str, ...]
) -> None:
    found = hosts_behind(named("article", *changes), "hq")
    assert [(host.node, host.family) for host in found] == [("hq-lan", family) for family in families]


def test_links_with_hosts_are_inside_and_all_others_outside() -> None:
    def outside(topology: Topology) -> list[str]:
        return ["-".join(end.node for end in link.endpoints) for link in links_outside(topology)]

    assert outside(named("article")) == ["hq-transit", "branch-transit"]
    line = '    - {endpoints: ["hq:eth8", "branch:eth8"], ipv4: [192.0.2.1/30, 192.0.2.2/30], vars: {peering: true}}\n'
    peering = ("  links:\n", f"  links:\n{line}")
    assert outside(named("article", peering)) == []


def test_other_end_of_a_tunnel_answers_at_its_inner_addresses(tmp_path: Path) -> None:
    assert {(node, str(address)) for _, node, address in inner_addresses(named("article"))} == {
        ("hq", "10.255.0.2"), ("hq", "2001:db8:ff::2"), ("branch", "10.255.0.1"), ("branch", "2001:db8:ff::1"),
    }  # fmt: skip
    assert list(inner_addresses(load(DN42.copy(tmp_path)))) == []
