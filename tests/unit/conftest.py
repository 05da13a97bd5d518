"""The settings of hypothesis, and the article's topology."""

import pytest
from hypothesis import settings

from lab.catalogue import load
from lab.topology import Topology

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")  # a busy host is no failure


@pytest.fixture(scope="session")
def article() -> Topology:
    """The article's two sites."""
    return load("article")
