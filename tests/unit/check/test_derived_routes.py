"""Which prefixes are expected in which FIBs: sessions, policies, AS paths, and what files of the user's say."""

from pathlib import Path

import pytest

from lab.advise import ends_of_topology
from lab.catalogue import load, topologies_dir
from lab.check.derived.sessions import Sessions
from lab.topology import Topology
from tests.helpers.edited import edited
from tests.helpers.networks import BRANCH_VPN, DN42, ROADWARRIORS


def expected(topology: Topology) -> dict[str, set[str]]:
    """Return the prefixes at each router; an uncertain one ends with `?`."""
    configurations = {end.node: end.subject.router for end in ends_of_topology(topology) if end.subject.router}
    found: dict[str, set[str]] = {}
    for arrival in Sessions(topology, configurations).arrivals():
        found.setdefault(arrival.router, set()).add(f"{arrival.prefix}{'' if arrival.certain else '?'}")
    return found


def spokes(*changes: tuple[str, str]) -> dict[str, set[str]]:
    return expected(edited(topologies_dir() / "hub-and-spokes.clab.yml", *changes))


def test_prefixes_of_a_spoke_come_to_the_hub_and_the_other_spokes() -> None:
    found = spokes()
    assert found["hub"] == {f"10.{n}.0.0/24" for n in (2, 3, 4)} | {f"2001:db8:{n}::/64" for n in (2, 3, 4)}
    assert found["spoke1"] == {f"10.{n}.0.0/24" for n in (1, 3, 4)} | {f"2001:db8:{n}::/64" for n in (1, 3, 4)}


def test_own_as_number_in_the_path_keeps_a_prefix_out() -> None:
    same_as = ("asn: 65002", "asn: 65001")
    assert spokes(same_as)["spoke1"] == {"10.1.0.0/24", "2001:db8:1::/64", "10.4.0.0/24", "2001:db8:4::/64"}
    allowed = ("asn: 65001", "asn: 65001\n            allowas-in: 1")
    assert spokes(same_as, allowed)["spoke1"] == spokes()["spoke1"]


def test_hub_of_ibgp_reflects() -> None:
    internal = [(f"asn: 6500{n}", "asn: 65000") for n in (1, 2, 3)]
    assert spokes(*internal) == spokes()


def test_prefix_that_is_not_accepted_is_not_expected() -> None:
    found = expected(load(topologies_dir() / "road-warrior-bgp.clab.yml"))
    assert found == {"user": {"10.20.30.40/32", "2001:db8:20:30::40/128", "192.168.100.0/24"}}


def test_prefix_that_covers_an_outer_address_is_not_expected() -> None:
    networks = ("networks: [10.2.0.0/24,", "networks: [198.51.100.0/28, 10.2.0.0/24,")
    found = expected(edited(topologies_dir() / "p2p-tls.clab.yml", networks))
    assert found["hq"] == {"10.2.0.0/24", "2001:db8:2::/64"}


def test_prefix_with_a_static_route_or_a_link_is_in_the_fib_anyway() -> None:
    networks = ("networks: [10.2.0.0/24,", "networks: [10.1.0.0/24, 203.0.113.0/24, 10.2.0.0/24,")
    static = ("- {to: 198.51.100.0/24, via: transit}", "- {to: 203.0.113.0/24, via: transit}")
    found = expected(edited(topologies_dir() / "p2p-tls.clab.yml", networks, static))
    assert found["hq"] == {"10.2.0.0/24", "2001:db8:2::/64"}


@pytest.mark.parametrize(
    ("old", "new", "at_birch"),
    [
        ("neighbor fe80::b:1 route-map to-birch out", "neighbor fe80::b:1 route-map to-birch6 out", set()),
        ("match ip address prefix-list own", "match ip address prefix-list dn42", {"172.20.101.0/27"}),
        ("match ip address prefix-list own", "match tag 3", {"172.20.101.0/27?"}),
        ("network 172.20.101.0/27", "network 172.20.101.0/30", set()),
    ],
)
def test_policies_of_own_files_decide(tmp_path: Path, old: str, new: str, at_birch: set[str]) -> None:
    found = expected(DN42.changed(tmp_path, "alder/etc/frr/frr.conf", (old, new)))
    assert found["birch"] == at_birch | {"fd42:101::/48"}
    assert found["alder"] == {"172.20.102.0/27", "fd42:102::/48"}


def test_filter_of_bird_decides(tmp_path: Path) -> None:
    change = ("if !is_valid() || is_own() then reject;", "if net.len = 27 then reject;")
    assert expected(DN42.changed(tmp_path, "birch/etc/bird/peers/alder.conf", change))["birch"] == {"fd42:101::/48"}


def test_connected_networks_are_expected_where_bgp_takes_them(tmp_path: Path) -> None:
    networks = ("  network 10.41.0.0/24\n", "  redistribute connected route-map LAN\n")
    route_map = ("end\n", "route-map LAN permit 10\n match ip address prefix-list LAN\n")
    plist = ("!\nrouter bgp", "ip prefix-list LAN permit 10.41.0.0/24\nrouter bgp")
    found = expected(ROADWARRIORS.changed(tmp_path, "east/etc/frr/frr.conf", networks, route_map, plist))
    assert found == expected(load(ROADWARRIORS.copy(tmp_path / "other")))


def test_ospf_announces_the_networks_of_its_interfaces(tmp_path: Path) -> None:
    assert expected(load(BRANCH_VPN.copy(tmp_path / "all")))["south"] == {
        "10.10.0.0/24", "10.20.0.0/24", "10.21.0.0/24",
    }  # fmt: skip
    cameras = ("interface ens5\n description cameras, since OSPF\n ip ospf area 0\n", "interface ens5\n")
    assert expected(BRANCH_VPN.changed(tmp_path, "north/etc/frr/frr.conf", cameras))["south"] == {
        "10.10.0.0/24", "10.20.0.0/24",
    }  # fmt: skip


def test_route_map_of_zebra_keeps_ospf_out_of_the_kernel(tmp_path: Path) -> None:
    kept = ("!\nend", "ip protocol ospf route-map KEEP\nip prefix-list N permit 10.20.0.0/24\n"
            "route-map KEEP permit 10\n match ip address prefix-list N\nexit\nend")  # fmt: skip
    found = expected(BRANCH_VPN.changed(tmp_path, "south/etc/frr/frr.conf", kept))
    assert found["south"] == {"10.20.0.0/24"}
