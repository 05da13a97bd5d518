"""Hooks that the plugin offers to other projects' conftest.py and plugins."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab.runtime.lab import Lab


@pytest.hookspec
def pytest_lab_ready(lab: "Lab") -> None:
    """Called when a lab is ready: tunnels up, sessions established, routes installed.

    A lab serves several tests; this is called once for each lab, before the first of them.
    """


@pytest.hookspec
def pytest_lab_failed(item: pytest.Item, lab: "Lab", artefacts: Path | None) -> None:
    """Called when a test that used a lab has failed, while the lab still runs.

    `artefacts` is the directory with the diagnosis, None without `--lab-artefacts`; add the files of your project.
    """
