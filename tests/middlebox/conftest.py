"""The article's two sites, with something between them that is not transparent."""

import pytest

from lab.runtime.lab import Lab
from tests.convergence.conftest import Site
from tests.modes.checks import ends


@pytest.fixture
def hq(lab: Lab) -> Site:
    """The site with the OpenVPN server."""
    return ends(lab, lab.tunnel("branch", "hq"))[0]


@pytest.fixture
def branch(lab: Lab) -> Site:
    """The site with the OpenVPN client."""
    return ends(lab, lab.tunnel("branch", "hq"))[1]
