"""Differences between declared and measured properties."""

from dataclasses import replace

import pytest

from lab.compare.facts import Disagreement, Facts, Mtu, declared_facts, find_disagreements, format_fact
from lab.compare.memory import Hub
from lab.compare.survey import find_hub_disagreements
from lab.tunnel import modes

SEEN = Facts(needs_iroute=True, families=("ipv4", "ipv6"), multicast=("ipv4",), mtu=Mtu(1500, 1500))


def test_equal_facts_have_no_disagreement() -> None:
    assert find_disagreements(SEEN, replace(SEEN)) == ()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(SEEN, needs_iroute=False), "needs iroute: no measured, yes declared"),
        (replace(SEEN, families=()), "families: none measured, IPv4, IPv6 declared"),
        (replace(SEEN, multicast=("ipv4", "ipv6")), "multicast: IPv4, IPv6 measured, IPv4 declared"),
        (replace(SEEN, mtu=Mtu(1500, 0)), "mtu: IPv4 1500, IPv6 0 measured, 1500 declared"),
    ],
)
def test_disagreement_names_the_fact_and_both_values(other: Facts, words: str) -> None:
    (found,) = find_disagreements(SEEN, other)
    assert str(found) == words
    assert found.declared == format_fact(getattr(SEEN, found.fact.replace(" ", "_")))


def test_declared_facts_of_all_modes() -> None:
    said = {name: declared_facts(mode) for name, mode in modes().items()}
    assert {name for name, facts in said.items() if facts.needs_iroute} == {"iroute", "fixed-routes", "shared-iroute"}
    assert {name for name, facts in said.items() if not facts.families} == {"fixed-routes"}
    assert {name: facts.multicast for name, facts in said.items() if len(facts.multicast) < 2} == {
        "dco": (),
        "fixed-routes": ("ipv4",),
    }


@pytest.mark.parametrize(
    ("mode", "hub", "facts"),
    [
        ("iroute", Hub(clients=8, routed_for=8, processes=8, memory=1), []),
        ("tap", Hub(clients=8, routed_for=8, processes=1, memory=1), []),
        ("shared-iroute", Hub(clients=8, routed_for=1, processes=1, memory=1), []),
        ("shared-iroute", Hub(clients=8, routed_for=8, processes=1, memory=1), ["clients routed for"]),
        ("tap", Hub(clients=8, routed_for=7, processes=1, memory=1), ["clients routed for"]),
        ("tap", Hub(clients=8, routed_for=8, processes=8, memory=1), ["processes"]),
        ("iroute", Hub(clients=8, routed_for=8, processes=1, memory=1), ["processes"]),
    ],
)
def test_hub_disagreements_follow_the_declaration(mode: str, hub: Hub, facts: list[str]) -> None:
    assert [found.fact for found in find_hub_disagreements(modes()[mode], hub)] == facts


def test_hub_disagreement_has_both_numbers() -> None:
    (found,) = find_hub_disagreements(modes()["tap"], Hub(clients=8, routed_for=7, processes=1, memory=1))
    assert found == Disagreement("clients routed for", "8", "7")
