"""BIRD 3 at both ends: whatever they speak, through whatever tunnel, prefixes cross it and go again.

A file for each two daemons, since the files are what is run side by side.
"""

import pytest

from lab.runtime.lab import Lab
from tests.helpers.daemons import expect_prefixes_cross_the_tunnel
from tests.helpers.matrix import Case

pytestmark = [pytest.mark.docker, pytest.mark.variants, pytest.mark.topology("pair.clab.yml")]


@pytest.mark.daemons("bird3", "bird3")
def test_prefixes_cross_the_tunnel_and_go_again(case: Case, lab: Lab) -> None:
    expect_prefixes_cross_the_tunnel(case, lab)
