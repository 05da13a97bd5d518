"""The wheel: what is in it, and what is not."""

import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns

import pytest

from lab.catalogue import topologies_dir

ROOT = Path(__file__).parents[3]
SOURCES = ("lab", "images", "topologies", "pyproject.toml", "README.md", "LICENSE")
ONLY_FOR_TESTS = {"browser"}
"""Images that no topology and no command uses."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel from a copy of the sources, without a network."""
    directory = tmp_path_factory.mktemp("wheel")
    sources = directory / "sources"
    sources.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            copytree(ROOT / name, sources / name, symlinks=True, ignore=ignore_patterns("__pycache__"))
        else:
            copyfile(ROOT / name, sources / name)
    build = "import sys, setuptools.build_meta as build; print(build.build_wheel(sys.argv[1]))"
    argv = [sys.executable, "-c", build, str(directory)]
    built = subprocess.run(argv, cwd=sources, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (file,) = directory.glob("*.whl")
    return zipfile.ZipFile(file)


@pytest.fixture(scope="module")
def names(wheel: zipfile.ZipFile) -> set[str]:
    return set(wheel.namelist())


def of_sources(folder: str, pattern: str = "*") -> set[str]:
    """Return the files of a folder at the top as the wheel names them."""
    files = (path for path in (ROOT / folder).rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    prefix = "" if folder == "lab" else "lab/"
    return {f"{prefix}{path.relative_to(ROOT)}" for path in files}


def test_every_module_and_template_is_in_the_wheel(names: set[str]) -> None:
    sources = {name for name in of_sources("lab") if not name.endswith("~")}
    assert len(sources) > 250
    assert sources - names == set()


def test_every_topology_and_its_files_are_in_the_wheel(names: set[str]) -> None:
    assert of_sources("topologies") - names == set()
    assert len(list(topologies_dir().glob("*.clab.yml"))) > 10


def test_images_are_in_the_wheel_except_those_of_tests(names: set[str]) -> None:
    images = {path.name for path in (ROOT / "images").iterdir()}
    for image in images:
        files = of_sources(f"images/{image}")
        assert (files & names) == (set() if image in ONLY_FOR_TESTS else files), image


def test_image_left_out_is_used_by_no_topology_and_no_module() -> None:
    for image in ONLY_FOR_TESTS:
        files = [*(ROOT / "topologies").glob("*.yml"), *(ROOT / "lab").rglob("*.py")]
        users = [file for file in files if f"openvpn-routing-lab/{image}" in file.read_text()]
        recipes = [file for file in files if f'Recipe("{image}"' in file.read_text()]
        assert users == recipes == []


def test_nothing_else_is_in_the_wheel(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lab"}
    assert not [name for name in names if name.endswith((".pyc", "~")) or "/test_" in name or "conftest" in name]
    others = (name for name in names if not name.startswith(("lab/images/", "lab/topologies/")))
    own = {name for name in others if ".dist-info/" not in name}
    assert own == of_sources("lab")


def test_entry_points_are_the_program_the_plugins_and_the_units(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    points = ConfigParser(delimiters="=")
    points.optionxform = str  # type: ignore[assignment,method-assign]
    points.read_string(wheel.read(name).decode())
    assert dict(points["console_scripts"]) == {"lab": "lab.cli:main"}
    assert set(points["pytest11"]) == {
        "openvpn-routing-lab",
        "openvpn-routing-lab-checks",
        "openvpn-routing-lab-claims",
        "openvpn-routing-lab-kernel",
        "openvpn-routing-lab-shards",
    }
    assert {"iroute", "tap", "dco"} <= set(points["openvpn_routing_lab.tunnel_modes"])
    assert {"frr", "bird", "bird3"} <= set(points["openvpn_routing_lab.routing_daemons"])


def test_bare_installation_needs_neither_numpy_nor_matplotlib(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    required = [line for line in wheel.read(name).decode().splitlines() if line.startswith("Requires-Dist:")]
    heavy = [line for line in required if line.split()[1].startswith(("numpy", "matplotlib"))]
    assert heavy
    assert all("extra ==" in line for line in heavy)
    assert not [line for line in required if "extra ==" not in line and line.split()[1].startswith(("mypy", "ruff"))]
