"""The reader of frr.conf: neighbours, timers and policies of BGP."""

from ipaddress import ip_address
from pathlib import PurePosixPath

import pytest

from lab.advise.frr import FrrConfiguration, looks_like_frr, parse, read
from tests.helpers.samples import SAMPLES

ADDRESS = ip_address("198.51.100.1")
HEAD = "frr defaults datacenter\nrouter bgp 65001\n neighbor 10.0.0.2 remote-as 65002\n"


def policy(text: str) -> FrrConfiguration:
    return parse(HEAD + text, "frr.conf")


def test_neighbors_have_lines_timers_and_groups() -> None:
    opened, filtered = (read(PurePosixPath(SAMPLES / f"{name}.frr.conf")) for name in ("open", "filtered"))
    first, second = opened.neighbors
    assert (first.name, first.spot.line, first.remote_as, first.hold) == ("10.255.0.2", 6, "65002", 30)
    assert first.hold_spot is not None
    assert first.hold_spot.line == 7
    assert (second.name, second.hold, second.hold_spot) == ("10.20.0.2", 9, None)
    (member,) = filtered.neighbors
    assert (member.name, member.remote_as, member.hold) == ("10.255.0.1", "65001", 9)
    assert filtered.external(member) is True
    assert (opened.requires_policy, filtered.requires_policy) == (False, True)


def test_families_are_active_by_default_or_by_activate() -> None:
    opened = read(PurePosixPath(SAMPLES / "open.frr.conf"))
    first, second = opened.neighbors
    assert [opened.active(n, "ipv4") for n in (first, second)] == [True, True]
    assert [opened.active(n, "ipv6") for n in (first, second)] == [True, False]
    inactive = policy(" no bgp default ipv4-unicast\n")
    assert not inactive.active(inactive.neighbors[0], "ipv4")


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
        (" neighbor 10.0.0.2 prefix-list GONE in\n", None),
        (" neighbor 10.0.0.2 prefix-list P out\n", True),
        (" neighbor 10.0.0.2 filter-list 1 in\n", None),
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
    assert frr.accepts(frr.neighbors[0], ADDRESS, 1).accepted is None


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
