"""The topologies with OSPF and RIP: routes and traffic of both families over the article's tunnel."""

import pytest

from lab.runtime.lab import Lab
from tests.helpers.tunnels import ends, expect_lans_reach_each_other, expect_prefixes_come_and_go

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.7"), pytest.mark.variants]


@pytest.mark.parametrize(
    "protocol",
    [pytest.param(name, marks=pytest.mark.topology(name)) for name in ("ospf", "rip")],
)
def test_prefixes_of_both_families_come_and_go(lab: Lab, protocol: str) -> None:
    hq, branch = ends(lab, lab.tunnel("branch", "hq"))
    assert {hq.router.plan.protocol, branch.router.plan.protocol} == {protocol}
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
