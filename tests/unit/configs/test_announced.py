"""A prefix at the policies of a session: outbound filters, inbound filters, redistribution."""

from ipaddress import ip_network

import pytest

from lab.configs import bird, frr
from lab.configs.routing.acceptance import Lengths
from lab.configs.routing.judged import RouteSource, RoutingConfiguration

FRR = """frr defaults traditional
router bgp 65001
 no bgp ebgp-requires-policy
 neighbor 10.0.0.2 remote-as 65002
 {line}
ip prefix-list OWN permit 10.1.0.0/16 ge 24 le 24
route-map OWN permit 10
 match ip address prefix-list OWN
route-map TAGGED permit 10
 match tag 7
"""
BIRD = """router id 10.0.0.1;
protocol device {}
protocol direct { ipv4; }
protocol static { route 10.1.1.0/24 blackhole; ipv4; }
protocol kernel { ipv4 { export all; }; }
protocol bgp one {
    local as 65001;
    neighbor 10.0.0.2 as 65002;
    ipv4 { import filter { if net ~ [10.1.0.0/16{24,24}] then accept; reject; }; export LINE; };
}
"""


def announces(configuration: RoutingConfiguration, prefix: str, source: RouteSource = "own") -> bool | None:
    return configuration.announces(configuration.neighbors[0], ip_network(prefix), source)


@pytest.mark.parametrize(
    ("line", "prefix", "source", "expected"),
    [
        ("", "10.1.1.0/24", "own", True),
        ("", "fd00::/64", "own", False),
        ("neighbor 10.0.0.2 prefix-list OWN out", "10.1.1.0/24", "learned", True),
        ("neighbor 10.0.0.2 prefix-list OWN out", "10.2.1.0/24", "own", False),
        ("neighbor 10.0.0.2 route-map TAGGED out", "10.1.1.0/24", "own", None),
        ("neighbor 10.0.0.2 prefix-list OWN in", "10.2.1.0/24", "own", True),
        ("bgp ebgp-requires-policy", "10.1.1.0/24", "own", False),
        ("neighbor 10.0.0.2 shutdown", "10.1.1.0/24", "own", False),
        ("", "10.1.1.0/24", "connected", False),
        ("redistribute connected", "10.1.1.0/24", "connected", True),
        ("redistribute connected", "fd00::/64", "connected", False),
        ("redistribute connected route-map OWN", "10.1.1.0/24", "connected", True),
        ("redistribute connected route-map OWN", "10.2.1.0/24", "connected", False),
        ("redistribute connected route-map MISSING", "10.1.1.0/24", "connected", False),
        ("aggregate-address 10.1.0.0/16 summary-only", "10.1.1.0/24", "own", None),
        ("aggregate-address 10.1.0.0/16 summary-only", "10.1.0.0/16", "own", True),
        ("aggregate-address 10.1.0.0/16 summary-only", "10.2.1.0/24", "own", True),
        ("aggregate-address 10.1.0.0/16", "10.1.1.0/24", "own", True),
        ("neighbor 10.0.0.2 advertise-map OWN exist-map TAGGED", "10.1.1.0/24", "own", None),
    ],
)
def test_frr_announces_what_its_policies_pass(
    line: str, prefix: str, source: RouteSource, expected: bool | None
) -> None:
    assert announces(frr.parse(FRR.replace("{line}", line), "frr.conf"), prefix, source) is expected


@pytest.mark.parametrize(
    ("line", "prefix", "accepted"),
    [
        ("ip protocol bgp route-map OWN", "10.1.1.0/24", True),
        ("ip protocol bgp route-map OWN", "10.2.1.0/24", False),
        ("ip protocol any route-map TAGGED", "10.1.1.0/24", None),
        ("ip protocol ospf route-map OWN", "10.2.1.0/24", True),
    ],
)
def test_zebra_keeps_routes_of_bgp_out_of_the_kernel(line: str, prefix: str, accepted: bool | None) -> None:
    configuration = frr.parse(FRR.replace("{line}", "") + line, "frr.conf")
    wanted = ip_network(prefix)
    exactly = Lengths(wanted.prefixlen, wanted.prefixlen)
    found = configuration.accepts(configuration.neighbors[0], wanted.network_address, exactly)
    assert found.answer is accepted


def test_distribute_list_of_ospf_is_not_judged() -> None:
    text = "interface tun0\n ip ospf area 0\nexit\nrouter ospf\n{}exit\n"
    for line, unknown in (("", False), (" distribute-list X in\n", True)):
        configuration = frr.parse(text.format(line), "frr.conf")
        found = configuration.installs(configuration.interior[0], ip_network("10.1.0.0/24").network_address, "tun0")
        assert bool(found.unknown) is unknown


@pytest.mark.parametrize(
    ("export", "prefix", "source", "expected"),
    [
        ("all", "10.1.1.0/24", "own", True),
        ("none", "10.1.1.0/24", "own", False),
        ("all", "fd00::/64", "own", False),
        ("where source = RTS_STATIC", "10.1.1.0/24", "own", True),
        ("where source = RTS_STATIC", "10.1.1.0/24", "learned", False),
        ("where source = RTS_DEVICE", "10.9.0.0/24", "connected", True),
        ('where proto = "static1"', "10.1.1.0/24", "own", True),
        ("where bgp_med = 3", "10.1.1.0/24", "own", None),
    ],
)
def test_bird_announces_what_its_filters_pass(
    export: str, prefix: str, source: RouteSource, expected: bool | None
) -> None:
    assert announces(bird.parse(BIRD.replace("LINE", export), "bird.conf"), prefix, source) is expected


@pytest.mark.parametrize(
    ("prefix", "expected"), [("10.1.1.0/24", True), ("10.1.0.0/16", False), ("10.2.1.0/24", False)]
)
def test_one_length_is_judged_alone(prefix: str, expected: bool) -> None:
    wanted = ip_network(prefix)
    exactly = Lengths(wanted.prefixlen, wanted.prefixlen)
    line = "neighbor 10.0.0.2 route-map OWN in"
    for configuration in (
        frr.parse(FRR.replace("{line}", line), "frr.conf"),
        bird.parse(BIRD.replace("LINE", "all"), "bird.conf"),
    ):
        (neighbor,) = configuration.neighbors
        assert configuration.accepts(neighbor, wanted.network_address, exactly).answer is expected
