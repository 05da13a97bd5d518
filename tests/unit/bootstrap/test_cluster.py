"""The packages of a cluster's hosts: those of requirements.lock that the lab needs there, with their digests."""

import re
from pathlib import Path

from packaging.requirements import Requirement

from bootstrap.cluster import PYTHON, locked

ROOT = Path(__file__).parents[3]
ENTRIES = list(locked((ROOT / "requirements.lock").read_text()))


def requirement(entry: str) -> Requirement:
    return Requirement(entry.partition(" --hash")[0].strip())


def test_every_entry_is_pinned_by_digests() -> None:
    for entry in ENTRIES:
        assert re.fullmatch(r"[\w.-]+==\S+( ;[^-\n]+)?( --hash=sha256:[0-9a-f]{64})+\n", entry), entry


def test_packages_are_those_that_the_lab_needs() -> None:
    names = [requirement(entry).name for entry in ENTRIES]
    assert len(set(names)) == len(names), "one version of each, though the lock has several for some"
    assert {"distributed", "numpy", "pyroute2", "pydantic-core", "msgpack"} <= set(names)
    assert not {"mypy", "ruff", "mkdocs", "matplotlib", "pytest-xdist"} & set(names)


def test_versions_are_for_the_python_of_the_hosts() -> None:
    environment = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    for entry in ENTRIES:
        marker = requirement(entry).marker
        assert marker is None or marker.evaluate(environment), entry


def test_python_is_that_of_the_image() -> None:
    assert f"python{PYTHON}/" in (ROOT / "images" / "cluster" / "Dockerfile").read_text()
