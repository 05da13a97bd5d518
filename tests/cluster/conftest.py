"""Fixtures: the hosts of a cluster, which are nodes of a lab with the engine crun inside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.runtime.lab import Lab
from tests.helpers.cluster import Hosts, hosts_of, require_packages


@pytest.fixture
def hosts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hosts]:
    """The hosts, without a cluster; one that the test starts is ended after it."""
    require_packages()
    lab: Lab = request.getfixturevalue("lab")
    hosts = hosts_of(lab, tmp_path / "certs")
    yield hosts
    hosts.stop()
