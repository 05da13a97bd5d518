"""Generated tables: mix of lengths, address space, AS paths, and reproducibility by seed."""

from collections import Counter
from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.core.errors import InputError
from lab.measure.scale.table import MIX, PATH_LENGTHS, PREFIXES_PER_PATH, Table, apportion, generate
from lab.topology import Family, Prefix

DEEPER = {"ipv4": 8, "ipv6": 0}


def prefixes(table: Table) -> list[Prefix]:
    return [ip_network(line.split()[1]) for line in table.lines()]


@pytest.mark.parametrize("count", [1, 2, 100, 5000])
def test_prefixes_are_distinct_and_private(family: Family, count: int) -> None:
    found = prefixes(generate(family, count))
    assert len(found) == len(set(found)) == count
    for prefix in found:
        if isinstance(prefix, IPv4Network):  # 10.224.0.0 and up stay free for the tunnel's own addresses
            assert prefix.subnet_of(IPv4Network("10.0.0.0/8"))
            assert prefix.broadcast_address.packed[1] < 224
        else:
            assert prefix.subnet_of(IPv6Network("fd00::/8"))


def test_lengths_have_the_mix_of_the_source(family: Family) -> None:
    found = Counter(prefix.prefixlen - DEEPER[family] for prefix in prefixes(generate(family, 20_000)))
    assert found == apportion(20_000, MIX[family])


def test_full_size_table_has_the_exact_mix_of_the_source(family: Family) -> None:
    assert apportion(sum(MIX[family].values()), MIX[family]) == MIX[family]


def test_largest_remainders_get_the_rest() -> None:
    # 10 * (1/6, 2/6, 3/6) = 1.67, 3.33, 5: the first one is the furthest below its share.
    assert apportion(10, {8: 1, 16: 2, 24: 3}) == {8: 2, 16: 3, 24: 5}
    assert apportion(1, {8: 1, 16: 2, 24: 3}) == {24: 1}


@given(st.integers(1, 3_000_000), st.dictionaries(st.integers(8, 24), st.integers(1, 10**6), min_size=1))
def test_division_adds_up(count: int, mix: dict[int, int]) -> None:
    parts = apportion(count, mix)
    assert sum(parts.values()) == count
    assert all(abs(part - count * mix[key] / sum(mix.values())) < 1 for key, part in parts.items())


def test_paths_are_shared_by_as_many_prefixes_as_in_the_source(family: Family) -> None:
    table = generate(family, 10_000)
    assert 0.8 * 10_000 / PREFIXES_PER_PATH < table.paths <= round(10_000 / PREFIXES_PER_PATH)
    assert {len(route.path) for route in table.routes} == set(PATH_LENGTHS)
    # RFC 6996
    assert all(4_200_000_000 <= asn <= 4_294_967_294 for route in table.routes for asn in route.path)


def test_seed_determines_the_table(family: Family) -> None:
    assert generate(family, 500, seed=7) == generate(family, 500, seed=7)
    assert generate(family, 500, seed=7) != generate(family, 500, seed=8)


def test_lines_are_static_routes_of_bird() -> None:
    table = generate("ipv4", 1)
    (line,) = table.lines()
    *transits, origin = table.routes[0].path
    prepends = " ".join(f"bgp_path.prepend({asn});" for asn in (origin, *reversed(transits)))
    assert line == f"route {prefixes(table)[0]} blackhole {{ {prepends} }};\n"


@pytest.mark.parametrize("count", [0, -1, 20_000_000])
def test_impossible_table_size_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=str(count)):
        generate("ipv4", count)
