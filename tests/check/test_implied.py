"""Implied expectations of the networks in `topologies/networks`: they fail with the faults, and hold when mended."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.check.derived import derive
from lab.check.expectations.reaches import Reaches
from lab.check.expectations.route import RoutePresent
from lab.check.model import Checked, Checks, Verdict
from lab.check.run import Run
from lab.core.prefixes import family_of
from lab.core.process import this_process
from lab.runtime.lab import Lab
from lab.topology import Topology
from lab.topology.segments import endpoints_of
from tests.helpers.labs import new_name
from tests.helpers.networks import BRANCH_VPN, DN42, ROADWARRIORS, Network

pytestmark = pytest.mark.docker

SHORT, LONG = 10.0, 60.0
"""Seconds for expectations, some of which fail, and for those that all hold."""


def run(network: Network, directory: Path, *, mended: bool) -> tuple[Topology, Checks, list[Checked]]:
    """Start a network and return all that follows from its files, with the results."""
    file = network.copy(directory)
    if mended:
        network.mend(directory)
    topology = load(file).model_copy(update={"name": new_name()})
    checks = derive(topology)
    checks = replace(checks, steps=(replace(checks.steps[0], within=LONG if mended else SHORT),))
    lab = Lab.deploy(topology, directory=directory / "lab", owner=this_process())
    try:
        with Run(lab, checks) as course:
            return topology, checks, course.all()
    finally:
        lab.destroy()


def address_of(topology: Topology, expected: Reaches) -> str:
    found = [a.ip for e in endpoints_of(topology, expected.reaches) for a in e.addresses]
    return next((str(a) for a in found if family_of(a) == expected.family), expected.reaches)


@pytest.mark.parametrize("network", [BRANCH_VPN, DN42, ROADWARRIORS], ids=lambda network: network.name)
def test_everything_holds_in_a_mended_network(network: Network, tmp_path: Path) -> None:
    _, _, results = run(network, tmp_path, mended=True)
    assert not [f"{each.what}: {each.result.seen}" for each in results if each.result.verdict is not Verdict.HELD]
    kinds = {each.kind for each in results}
    assert kinds == {"tunnel", "session", "route", "reaches", "nothing-in-clear"}


@pytest.mark.parametrize("network", [BRANCH_VPN, DN42], ids=lambda network: network.name)
def test_fault_of_a_network_fails_what_it_loses_and_nothing_else(network: Network, tmp_path: Path) -> None:
    topology, checks, results = run(network, tmp_path, mended=False)
    answers: dict[tuple[str, str], set[Verdict]] = {}
    missing = {}
    for (_, item), each in zip(checks.items, results, strict=True):
        if isinstance(item.expected, Reaches):
            pair = (item.expected.source, address_of(topology, item.expected))
            answers.setdefault(pair, set()).add(each.result.verdict)
        elif isinstance(item.expected, RoutePresent) and each.result.verdict is Verdict.FAILED:
            missing[item.expected.node] = item.expected.prefixes
        else:
            assert each.result.verdict is Verdict.HELD, each.what
    assert not [pair for pair in network.passes if answers[pair] != {Verdict.HELD}]
    assert not [pair for pair in network.lost if answers[pair] != {Verdict.FAILED}]
    assert missing == {node: frozenset(prefixes) for node, prefixes in network.missing.items()}
