"""The router between the two sites of `narrow.clab.yml`."""

import pytest

from lab.runtime.lab import Lab
from tests.helpers.underlay import Underlay


@pytest.fixture
def underlay(lab: Lab) -> Underlay:
    """The router between the sites, which can be told what to do to packets."""
    return Underlay(lab.node("transit"))
