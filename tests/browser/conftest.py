"""A browser for the tests of a file, and the pages that they look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.host import docker_engine
from lab.image import Recipe, ensure_image
from lab.report import compare, read, write_comparison, write_report
from tests.helpers import runs
from tests.helpers.chromium import Browser, browser

CHROMIUM = Recipe("browser", "Chromium without a window")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser without a network; skipped without Docker. If its image cannot be built the tests fail, and say why.

    It ends with its file: as long as Playwright runs, no other event loop can in this thread, and pyroute2 needs one.
    """
    try:
        client = docker_engine.connect()
    except EnvironmentBroken as error:
        pytest.skip(f"the browser is a container of Docker's: {error}")
    image = ensure_image(client, CHROMIUM, print)
    with browser(client, image, tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run."""
    directory = runs.write(tmp_path_factory.mktemp("run"), runs.trials(8, detectors=2))
    return write_report(read(directory), directory.path / "report").page


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a comparison with a difference and a variant that only one run has."""
    before = runs.write(tmp_path_factory.mktemp("before"), runs.trials(14, families=("ipv4",), detectors=2))
    slower = runs.trials(14, slower=3, families=("ipv4",), detectors=1)
    after = runs.write(tmp_path_factory.mktemp("after"), slower, "slower", kernel="7.0")
    return write_comparison(compare(read(before), read(after)), after.path / "comparison").page
