"""A browser for all tests, and the pages that they look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.host import docker_engine
from lab.image import Recipe, ensure_image
from lab.report import compare, read, write_comparison, write_report
from tests.helpers import runs
from tests.helpers.chromium import Browser, browser

CHROMIUM = Recipe("browser", "Chromium without a window")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser without a network. Where its image can't be built the tests fail, and say what was missing."""
    client = docker_engine.connect()
    with browser(client, ensure_image(client, CHROMIUM, print)) as running:
        yield running


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run."""
    directory = runs.write(tmp_path_factory.mktemp("run"), runs.trials(8, detectors=2))
    return write_report(read(directory), directory.path / "report").page


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a comparison in which something differs and something is missing."""
    before = runs.write(tmp_path_factory.mktemp("before"), runs.trials(14, families=("ipv4",), detectors=2))
    slower = runs.trials(14, slower=3, families=("ipv4",), detectors=1)
    after = runs.write(tmp_path_factory.mktemp("after"), slower, "slower", kernel="7.0")
    return write_comparison(compare(read(before), read(after)), after.path / "comparison").page
