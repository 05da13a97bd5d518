"""BIRD 2 at both ends: announced prefixes cross the tunnel, with each protocol and kind of tunnel of the matrix.

Each pair of daemons has its own file, because files run in parallel.
"""

import pytest

from lab.runtime.lab import Lab
from tests.helpers.daemons import expect_prefixes_cross_the_tunnel
from tests.helpers.matrix import Case

pytestmark = [pytest.mark.docker, pytest.mark.variants, pytest.mark.topology("pair.clab.yml")]


@pytest.mark.daemons("bird", "bird")
def test_announced_prefixes_cross_the_tunnel(case: Case, lab: Lab) -> None:
    expect_prefixes_cross_the_tunnel(case, lab)
