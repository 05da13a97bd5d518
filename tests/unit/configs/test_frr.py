"""The reader of frr.conf: neighbours, timers and policies of BGP."""

from ipaddress import ip_address
from pathlib import PurePosixPath

import pytest

from lab.configs.frr import FrrConfiguration, looks_like_frr, parse, read
from lab.configs.routing.acceptance import Lengths
from tests.helpers.samples import SAMPLES

ADDRESS = ip_address("198.51.100.1")
HEAD = "frr defaults datacenter\nrouter bgp 65001\n neighbor 10.0.0.2 remote-as 65002\n"


def policy(text: str) -> FrrConfiguration:
    return parse(HEAD + text, "frr.conf")


def test_neighbors_have_lines_timers_and_groups() -> None:
    opened, filtered = (read(PurePosixPath(SAMPLES / f"{name}.frr.conf")) for name in ("open", "filtered"))
    first, second = opened.neighbors
    assert (first.name, first.spot.line, first.remote, first.hold) == ("10.255.0.2", 6, 65002, 30)
    assert first.hold_spot is not None
    assert first.hold_spot.line == 7
    assert (second.name, second.hold, second.hold_spot) == ("10.20.0.2", 9, None)
    (member,) = filtered.neighbors
    assert (member.name, member.remote, member.hold) == ("10.255.0.1", 65001, 9)
    assert member.external is True
    assert (bool(opened.no_policy_needed(first)), bool(filtered.no_policy_needed(member))) == (True, False)


@pytest.mark.parametrize("other", ["connect 1", "delayopen 5"])
def test_other_timers_of_a_neighbor_leave_its_hold_time(other: str) -> None:
    (neighbor,) = policy(f" neighbor 10.0.0.2 timers 4 12\n neighbor 10.0.0.2 timers {other}\n").neighbors
    assert neighbor.hold == 12


def test_families_are_active_by_default_or_by_activate() -> None:
    opened = read(PurePosixPath(SAMPLES / "open.frr.conf"))
    first, second = opened.neighbors
    assert (sorted(first.families), sorted(second.families)) == (["ipv4", "ipv6"], ["ipv4"])
    inactive = policy(" no bgp default ipv4-unicast\n")
    assert not inactive.neighbors[0].families


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("", True),
        (" neighbor 10.0.0.2 prefix-list P in\nip prefix-list P permit 10.0.0.0/8 le 32\n", False),
        (" neighbor 10.0.0.2 prefix-list P in\nip prefix-list P permit 198.51.100.0/24\n", True),
        (" neighbor 10.0.0.2 prefix-list P in\nip prefix-list P deny 198.51.100.0/24 le 32\n", False),
        (
            " neighbor 10.0.0.2 prefix-list P in\nip prefix-list P seq 5 deny 198.51.100.0/24 le 32\n"
            "ip prefix-list P seq 10 permit any\n",
            True,  # the shorter ones, which cover it as well
        ),
        (" neighbor 10.0.0.2 prefix-list P in\nip prefix-list P permit 0.0.0.0/0 ge 33\n", False),
        (" neighbor 10.0.0.2 prefix-list GONE in\n", False),
        (" neighbor 10.0.0.2 prefix-list P out\n", True),
        (" neighbor 10.0.0.2 route-map GONE in\n", False),
        (" neighbor 10.0.0.2 filter-list 1 in\n", False),
        (" neighbor 10.0.0.2 filter-list 1 in\nbgp as-path access-list 1 permit .*\n", None),
        (" neighbor 10.0.0.2 prefix-list P in\nip prefix P permit any\n", None),  # abbreviated
        (" neighbor 10.0.0.2 prefix-list P in\nno ip prefix-list P\nip prefix-list P permit any\n", None),
        (" neighbor 10.0.0.2 route-map M in\nroute-map M deny 10\n", False),
        (" neighbor 10.0.0.2 route-map M in\nroute-map M permit 10\n set metric 5\n", True),
        (" neighbor 10.0.0.2 route-map M in\nroute-map M permit 10\n match community X\n", None),
        (" neighbor 10.0.0.2 route-map M in\nroute-map M permit 10\n call OTHER\n", None),
        (
            " neighbor 10.0.0.2 route-map M in\nroute-map M deny 10\n match ip address prefix-list ALL\n"
            "route-map M permit 20\nip prefix-list ALL permit 0.0.0.0/0 le 32\n",
            False,
        ),
        (" no bgp default ipv4-unicast\n", False),
        (" bgp ebgp-requires-policy\n", False),
    ],
)
def test_policy_accepts_or_rejects_a_covering_route(text: str, accepted: bool | None) -> None:
    frr = policy(text)
    acceptance = frr.accepts(frr.neighbors[0], ADDRESS)
    assert (acceptance.accepted is not None, bool(acceptance.unknown)) == (accepted is True, accepted is None)


def test_only_routes_longer_than_the_existing_one_are_considered() -> None:
    frr = policy(" neighbor 10.0.0.2 prefix-list P in\nip prefix-list P permit 0.0.0.0/0\n")
    assert frr.accepts(frr.neighbors[0], ADDRESS).accepted is not None
    assert frr.accepts(frr.neighbors[0], ADDRESS, Lengths(1)).accepted is None


def test_section_ends_where_the_next_one_begins() -> None:
    frr = parse("router bgp 1\nneighbor 10.0.0.2 remote-as 2\ninterface x\nneighbor 10.0.0.3 remote-as 2\n", "f")
    assert [n.name for n in frr.neighbors] == ["10.0.0.2"]
    other = policy(
        " address-family l2vpn evpn\n  neighbor 10.0.0.2 prefix-list P in\n exit-address-family\n timers bgp 1 3\n"
    )
    assert other.accepts(other.neighbors[0], ADDRESS).accepted is not None
    assert other.neighbors[0].hold == 3


def test_frr_files_are_recognised() -> None:
    assert [looks_like_frr(p.read_text()) for p in sorted(SAMPLES.glob("*.conf"))] == [
        "frr" in p.name for p in sorted(SAMPLES.glob("*.conf"))
    ]


def test_interface_keeps_its_own_ip_commands() -> None:
    frr = parse(
        "interface tun0\n ip address 10.0.0.1/24\n ip ospf area 2\n ip ospf passive\n!\nrouter ospf\n"
        " log-adjacency-changes\n network 10.0.0.0/24 area 1\n passive-interface eth0\n!\n"
        "ip route 192.0.2.0 255.255.255.0 10.0.0.2\nip route 198.51.100.0/24 Null0\n",
        "f",
    )
    assert [(i.name, i.prefix and str(i.prefix), i.area, i.spot.line) for i in frr.interior] == [
        ("tun0", None, "0.0.0.2", 3),
        (None, "10.0.0.0/24", "0.0.0.1", 8),
    ]
    assert frr.interior[0].passive
    assert [frr.interior[1].is_passive(name) for name in ("eth0", "eth1", "tun0")] == [True, False, True]
    assert [(str(r.prefix), r.via and str(r.via), r.discards) for r in frr.static_routes] == [
        ("192.0.2.0/24", "10.0.0.2", False),
        ("198.51.100.0/24", None, True),
    ]


def test_listen_range_has_the_statements_of_its_group() -> None:
    frr = parse(
        "router bgp 65000\n neighbor SPOKES peer-group\n neighbor SPOKES remote-as external\n"
        " neighbor SPOKES timers 3 9\n neighbor SPOKES password secret\n"
        " bgp listen range 10.8.0.0/24 peer-group SPOKES\n",
        "f",
    )
    (listens,) = frr.neighbors
    assert (str(listens.range), listens.external, listens.hold, listens.password) == ("10.8.0.0/24", True, 9, "secret")
    assert "secret" not in repr(listens)


@pytest.mark.parametrize(
    ("head", "needed"),
    [
        ("frr version 7.3\nfrr defaults traditional\n", False),
        ("frr version 7.4\nfrr defaults traditional\n", True),
        ("frr version 10.3\nfrr defaults traditional\n", True),
        ("frr version x\n", True),
        ("frr defaults datacenter\n", False),
    ],
)
def test_version_line_selects_the_default_of_rfc_8212(head: str, needed: bool) -> None:
    frr = parse(head + "router bgp 65001\n neighbor 10.0.0.2 remote-as 65002\n", "f")
    assert bool(frr.no_policy_needed(frr.neighbors[0])) is not needed


def test_later_statement_replaces_an_earlier_one() -> None:
    frr = policy(
        " neighbor 10.0.0.2 prefix-list P in\n no neighbor 10.0.0.2 prefix-list P in\n neighbor 10.0.0.2 shutdown\n"
    )
    (neighbor,) = frr.neighbors
    assert neighbor.disabled
    assert frr.accepts(neighbor, ADDRESS).accepted is not None


def test_ten_thousand_neighbors_are_read() -> None:
    lines = ["router bgp 65000", " neighbor G peer-group", " neighbor G remote-as 65001"]
    lines += [f" neighbor 10.{n >> 8}.{n & 255}.1 peer-group G" for n in range(10_000)]
    frr = parse("\n".join(lines), "f")
    assert len(frr.neighbors) == 10_000
    assert all(frr.missing_policies(n) for n in frr.neighbors)


def test_abbreviated_interface_is_a_section() -> None:
    frr = parse("router ospf\n network 172.16.0.0/12 area 0\nint lo\n ip ospf passive\n ip ospf area 0\n", "f")
    assert [(i.name, i.passive) for i in frr.interior] == [(None, False), ("lo", True)]
