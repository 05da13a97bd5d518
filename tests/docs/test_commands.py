"""Every command of README and docs that can be run is run, page by page, against one lab; every example is a test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import pages

pytestmark = pytest.mark.docker

NAME = f"docs-{os.getpid()}"
PATIENCE = 900
"""Seconds for the commands of one page."""
_PROGRAM = """#!/bin/sh
# The program of the pages: `article` is this test's own lab there.
case "$1" in
  up) [ "$2" = article ] || exit 99; exec {lab} up article --reuse --name {name} ;;
  down) exec {lab} down {name} ;;
esac
exec {lab} "$@"
"""
_NETWORK_PROGRAM = """#!/bin/sh
# The program of the pages on networks: the network is this test's own lab there.
case "$1" in
  up) exec {lab} "$@" --name "$LAB_NAME" ;;
  down) exec {lab} down "$LAB_NAME" ;;
esac
exec {lab} "$@"
"""
_NETWORKS = "docs/networks/"
RUN = sorted({block.page for block in pages.blocks() if block.runs and not block.page.startswith(_NETWORKS)})
RUN_NETWORKS = sorted({block.page for block in pages.blocks() if block.runs and block.page.startswith(_NETWORKS)})


def environment(programs: Path) -> dict[str, str]:
    path = f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {key: value for key, value in os.environ.items() if key != "LAB_DEBUG" and not key.startswith("PYTEST_")}
    return kept | {"PATH": path, "LAB_NAME": NAME}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the program `lab`."""
    directory = tmp_path_factory.mktemp("programs")
    program = directory / "lab"
    program.write_text(_PROGRAM.format(lab=f"{sys.executable} -m lab.cli", name=NAME))
    program.chmod(0o755)
    return directory


@pytest.fixture(scope="module")
def taken_down(programs: Path) -> Iterator[None]:
    """Remove the lab when all pages are done."""
    yield
    subprocess.run(["lab", "down", "article"], env=environment(programs), check=False, capture_output=True)


def write_files(page: str, directory: Path) -> None:
    for block in pages.blocks():
        if block.page == page and "file" in block.directives:
            (directory / block.directives["file"]).write_text(block.text)


@pytest.mark.usefixtures("taken_down")
@pytest.mark.parametrize("page", RUN)
def test_commands_of_a_page_run(page: str, programs: Path, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    script = "set -e -o pipefail\nlab up article\n"
    script += "".join(block.script for block in pages.blocks() if block.page == page and block.runs)
    result = subprocess.run(
        ["bash", "-x", "-c", script],
        cwd=tmp_path,
        env=environment(programs),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.parametrize("page", RUN_NETWORKS)
def test_commands_of_a_network_run(page: str, tmp_path: Path) -> None:
    (tmp_path / "topologies").symlink_to(pages.ROOT / "topologies")
    program = tmp_path / "bin" / "lab"
    program.parent.mkdir()
    program.write_text(_NETWORK_PROGRAM.format(lab=f"{sys.executable} -m lab.cli"))
    program.chmod(0o755)
    environ = environment(program.parent) | {"LAB_NAME": f"{NAME}-{Path(page).stem}"}
    script = "set -e -o pipefail\n" + "".join(b.script for b in pages.blocks() if b.page == page and b.runs)
    try:
        result = subprocess.run(
            ["bash", "-x", "-c", script],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        subprocess.run(["lab", "down"], cwd=tmp_path, env=environ, check=False, capture_output=True)
    assert result.returncode == 0, result.stderr[-3000:]


def test_examples_pass(programs: Path, tmp_path: Path) -> None:
    examples = [block for block in pages.blocks() if block.language == "python"]
    for number, block in enumerate(examples):
        write_files(block.page, tmp_path)
        if "file" not in block.directives:
            (tmp_path / f"test_example_{number}.py").write_text(block.text)
    written = sorted(tmp_path.glob("test_*.py"))
    assert len(written) == len(examples)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--lab-openvpn=2.7", "."]
    result = subprocess.run(
        argv, cwd=tmp_path, env=environment(programs), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert result.returncode == 0, result.stdout[-5000:]
