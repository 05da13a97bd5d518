"""Prefix lists of a router."""

from ipaddress import ip_network
from typing import Any

import pytest
from pydantic import ValidationError

from lab.topology import Accepted


def entry(prefix: str, **lengths: int) -> Accepted:
    return Accepted(prefix=ip_network(prefix), **lengths)


@pytest.mark.parametrize(
    ("lengths", "taken"),
    [
        ({}, {"10.20.30.0/24"}),
        ({"ge": 32}, {"10.20.30.40/32"}),
        ({"le": 25}, {"10.20.30.0/24", "10.20.30.0/25"}),
        ({"ge": 25, "le": 31}, {"10.20.30.0/25"}),
        ({"le": 32}, {"10.20.30.0/24", "10.20.30.0/25", "10.20.30.40/32"}),
    ],
)
def test_accepted_lengths_are_those_of_a_prefix_list(lengths: dict[str, int], taken: set[str]) -> None:
    offered = ["10.20.30.0/24", "10.20.30.0/25", "10.20.30.40/32", "10.20.31.1/32", "10.20.0.0/16", "0.0.0.0/0", "::/0"]
    assert {p for p in offered if entry("10.20.30.0/24", **lengths).accepts(ip_network(p))} == taken


@pytest.mark.parametrize("lengths", [{"ge": 16}, {"ge": 33}, {"le": 8}, {"ge": 30, "le": 28}])
def test_accepted_refuses_lengths_outside_its_prefix(lengths: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"no prefix inside 10\.20\.30\.0/24 has a length from"):
        entry("10.20.30.0/24", **lengths)
