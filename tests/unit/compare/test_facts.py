"""Declared against measured, in words."""

from dataclasses import replace

import pytest

from lab.compare.facts import Disagreement, Facts, Mtu, declared, disagreements, told
from lab.compare.memory import Hub
from lab.compare.survey import hub_disagreements
from lab.tunnel import modes

SEEN = Facts(needs_iroute=True, families=("ipv4", "ipv6"), multicast=("ipv4",), mtu=Mtu(1500, 1500))


def test_what_is_as_declared_is_no_disagreement() -> None:
    assert disagreements(SEEN, replace(SEEN)) == ()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(SEEN, needs_iroute=False), "needs iroute: no measured, yes declared"),
        (replace(SEEN, families=()), "families: none measured, IPv4, IPv6 declared"),
        (replace(SEEN, multicast=("ipv4", "ipv6")), "multicast: IPv4, IPv6 measured, IPv4 declared"),
        (replace(SEEN, mtu=Mtu(1500, 0)), "mtu: IPv4 1500, IPv6 0 measured, 1500 declared"),
    ],
)
def test_each_fact_can_differ_and_is_named(other: Facts, words: str) -> None:
    (found,) = disagreements(SEEN, other)
    assert str(found) == words
    assert found.declared == told(getattr(SEEN, found.fact.replace(" ", "_")))


def test_every_mode_declares_each_fact() -> None:
    said = {name: declared(mode) for name, mode in modes().items()}
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
def test_a_hub_is_held_to_what_its_mode_declares(mode: str, hub: Hub, facts: list[str]) -> None:
    assert [found.fact for found in hub_disagreements(modes()[mode], hub)] == facts


def test_a_hub_that_differs_says_both_numbers() -> None:
    (found,) = hub_disagreements(modes()["tap"], Hub(clients=8, routed_for=7, processes=1, memory=1))
    assert found == Disagreement("clients routed for", "8", "7")
