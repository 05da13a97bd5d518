"""What unit tests share: a namespace to play in, sockets that answer as daemons do, and the article's topology."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings

from lab.catalogue.load import load
from lab.topology import Topology
from tests.helpers.sandbox import Sandbox

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")  # how long an example takes is nobody's promise


@pytest.fixture
def sandbox() -> Iterator[Callable[[], Sandbox]]:
    """Make network namespaces that end with the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Sandbox())


@pytest.fixture(scope="session")
def article() -> Topology:
    """The article's two sites."""
    return load("article")
