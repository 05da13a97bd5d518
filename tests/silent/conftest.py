"""Fixtures for `narrow.clab.yml`."""

import pytest

from lab.runtime.lab import Lab
from tests.helpers.underlay import Underlay


@pytest.fixture
def underlay(lab: Lab) -> Underlay:
    """The router between the sites, which can drop packets and change its MTU."""
    return Underlay(lab.node("transit"))
