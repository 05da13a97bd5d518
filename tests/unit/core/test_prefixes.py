"""Sets of prefixes, their text in messages, and unused prefixes."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice, pairwise

import pytest

from lab.core.prefixes import free_prefixes, named, prefix_set
from lab.topology import Family, Prefix

PREFIX: dict[Family, Prefix] = {"ipv4": IPv4Network("10.9.0.0/24"), "ipv6": IPv6Network("2001:db8:9::/64")}


def test_prefix_set_of_one_network_has_that_network_only(family: Family) -> None:
    assert prefix_set(PREFIX[family]) == {PREFIX[family]}


def test_set_takes_prefixes_of_both_families() -> None:
    assert prefix_set(iter([*PREFIX.values(), *PREFIX.values()])) == set(PREFIX.values())


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        ((), "none"),
        (("10.9.0.0/24",), "10.9.0.0/24"),
        (("2001:db8::/64", "10.10.0.0/16", "10.9.0.0/24"), "10.9.0.0/24, 10.10.0.0/16, 2001:db8::/64"),
        (
            ("10.4.0.0/16", "10.3.0.0/16", "10.2.0.0/16", "10.1.0.0/16", "10.1.0.0/24"),
            "10.1.0.0/16, 10.1.0.0/24, 10.2.0.0/16 and 2 more",
        ),
    ],
)
def test_text_names_the_first_three_prefixes(texts: tuple[str, ...], shown: str) -> None:
    assert named(map(ip_network, texts)) == shown


def test_free_prefixes_do_not_overlap_each_other(family: Family) -> None:
    found = list(islice(free_prefixes(family, []), 3000))
    assert len(set(found)) == 3000
    assert {p.prefixlen for p in found} == {24 if family == "ipv4" else 64}
    ranges = sorted((int(p.network_address), int(p.broadcast_address)) for p in found)
    assert all(end < start for (_, end), (start, _) in pairwise(ranges))


def test_free_prefixes_are_for_documentation_or_private_use(family: Family) -> None:
    (first,) = islice(free_prefixes(family, []), 1)
    assert first.is_private


@pytest.mark.parametrize("taken", ["inside", "same", "around"])
def test_free_prefixes_do_not_overlap_used_prefixes(family: Family, taken: str) -> None:
    first, second = islice(free_prefixes(family, []), 2)
    length = {"inside": first.prefixlen + 4, "same": first.prefixlen, "around": first.prefixlen - 4}[taken]
    other = ip_network((first.network_address, length))
    (found,) = islice(free_prefixes(family, [other]), 1)
    assert int(found.network_address) > int(other.broadcast_address)
    if taken != "around":
        assert found == second


def test_prefixes_of_the_other_family_are_ignored() -> None:
    assert list(islice(free_prefixes("ipv4", [IPv6Network("::/0")]), 2)) == list(islice(free_prefixes("ipv4", []), 2))


def test_no_prefix_is_free_if_all_are_used() -> None:
    assert list(free_prefixes("ipv4", [IPv4Network("0.0.0.0/0")])) == []
