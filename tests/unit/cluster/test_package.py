"""The package that travels to workers: named by its digest, unpacked once, and run instead of the installed one."""

import os
import shutil
from pathlib import Path

import pytest

from lab.cluster import package
from lab.cluster.connect import connect
from lab.cluster.delivery import Cargo
from lab.cluster.gather import gather
from lab.cluster.job import Job, Work
from lab.cluster.package import (
    Package,
    environment_of,
    has_package,
    own_package,
    remove_packages,
    unpack_package,
)
from lab.core.errors import EnvironmentBroken
from lab.core.places import private

SESSION = """
import lab
from importlib.metadata import entry_points, version

class Session:
    def __init__(self, context): pass
    def facts(self): return {"lab": version("openvpn-routing-lab")}
    def do(self, order, send):
        plugins = [entry.value for entry in entry_points(group="pytest11") if entry.value.startswith("lab.")]
        send({"file": lab.__file__, "plugins": plugins})
    def close(self): pass
"""
"""A module that only the other package has."""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of what this machine keeps."""
    monkeypatch.setattr(package, "data_directory", lambda: private(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Files of a package that has a module more than the one that runs here."""
    copy = tmp_path / "lab"
    shutil.copytree(package._ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "shipped.py").write_text(SESSION)
    return copy


@pytest.fixture
def other(copy: Path) -> Package:
    """That package."""
    return packed(copy)


def packed(root: Path) -> Package:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "_ROOT", root)
        return own_package.__wrapped__()


def test_digest_depends_on_contents_only(copy: Path) -> None:
    first = packed(copy)
    for file in copy.rglob("*.py"):
        os.utime(file, (0, 0))
    assert packed(copy) == first
    (copy / "shipped.py").write_text("")
    assert packed(copy).digest != first.digest


def test_package_that_runs_here_is_not_wanted() -> None:
    assert has_package(own_package().digest)
    assert environment_of(own_package().digest) == environment_of("")


def test_unpacked_package_is_kept(other: Package, data: Path) -> None:
    assert not has_package(other.digest)
    for _ in range(2):  # two workers of one machine
        unpack_package(other.digest, other.archive)
    assert has_package(other.digest)
    (kept,) = (data / "packages").iterdir()
    assert (kept / "lab" / "shipped.py").read_text() == SESSION


def test_package_with_another_digest_is_refused(other: Package, data: Path) -> None:
    with pytest.raises(
        EnvironmentBroken, match=f"^the package arrived with digest [0-9a-f]+ instead of {other.digest}$"
    ):
        unpack_package(other.digest, other.archive + b"\0")
    assert not has_package(other.digest)
    assert not list((data / "packages").glob("*"))


def test_worker_runs_the_package_that_is_sent(other: Package, data: Path) -> None:
    said: list[str] = []
    work = Work("lab.shipped:Session", {})
    for _ in range(2):
        with connect("local:1", None) as client:
            found = gather(client, [Job("where", {"number": 1})], work, said.append, cargo=Cargo(other))
        (message,) = found["where"]
        assert message["file"] == str(data / "packages" / other.digest / "lab" / "__init__.py")
        assert "lab.testing.plugin" in message["plugins"]
        assert len(set(message["plugins"])) == len(message["plugins"])
    assert len([line for line in said if line.endswith("lacks this package, which is sent")]) == 1


def test_worker_without_the_package_cannot_do_its_work() -> None:
    with connect("local:1", None) as client, pytest.raises(EnvironmentBroken, match=r"No module named 'lab\.shipped'"):
        gather(client, [Job("where", {"number": 1})], Work("lab.shipped:Session", {}), lambda _: None)


def test_packages_are_removed_with_what_a_killed_worker_left(other: Package, data: Path) -> None:
    unpack_package(other.digest, other.archive)
    (data / "packages" / "tmpleft").mkdir()
    said: list[str] = []
    remove_packages(said.append)
    assert said == [f"removed the package {name}" for name in sorted([other.digest, "tmpleft"])]
    assert not has_package(other.digest)
