"""Network namespaces for the tests of this folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.helpers.sandbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Callable[[], Sandbox]]:
    """Make network namespaces that end with the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Sandbox())
