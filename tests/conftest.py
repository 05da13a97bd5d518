"""What all tests share."""

import pytest

from lab.topology import Family

pytest_plugins = ["pytester"]


@pytest.fixture(params=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> Family:
    """Each test once per family."""
    family: Family = request.param
    return family
