"""Fixtures: an ordinary user, whose labs are taken down after each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.ordinary_user import User


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests for root, who needs no namespaces of its own."""
    if os.geteuid() == 0:
        here = Path(__file__).parent
        for item in items:
            if item.path.is_relative_to(here):
                item.add_marker(pytest.mark.skip("it needs an ordinary user: `.ci/rootless` runs it"))


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """A user without labs, whose labs are taken down after the test."""
    for name in ("work", "runtime"):
        (tmp_path / name).mkdir(mode=0o700)
    user = User(tmp_path / "work", tmp_path / "runtime")
    yield user
    user.lab("down", "--all")
    assert user.left == []
    assert user.holder == ""
