"""The article's two sites, as the tests of convergence speak of them, and the network between them."""

import pytest

from lab.runtime.lab import Lab
from tests.convergence.conftest import branch, hq
from tests.silent.underlay import Underlay

__all__ = ["branch", "hq", "underlay"]


@pytest.fixture
def underlay(lab: Lab) -> Underlay:
    """The router between the sites of `narrow.clab.yml`, which can be told what to do to packets."""
    return Underlay(lab.node("transit"))
