"""The heavy modules that a command may import: processor time is mostly imports, and no test measures time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    *("cryptography", "docker", "jinja2", "matplotlib", "numpy", "pydantic", "pyroute2", "pytest", "requests"),
    *("rich", "scapy", "urllib3", "yaml"),
)
RUN = f"""
import sys
from lab.cli.app import app
try:
    app()
finally:
    print(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
ON_PAPER = """
import sys
from pathlib import Path
import lab.engine
from lab.engine import Instance, NodeState

class Engine:
    name = "paper"
    def find(self, lab=None):
        directory = Path("lab")
        nodes = ("hq", "branch", "transit", "hq-lan", "branch-lan")
        return [Instance("paper", n, n, "image", NodeState.RUNNING, directory.absolute()) for n in nodes]
    def networks(self, lab=None):
        return []
    def destroy(self, instances): ...

lab.engine.open_engine = Engine
lab.engine.all_engines = lambda name=None: [Engine()]
"""


def heavy_imports(program: str, argv: list[str], directory: Path, **environment: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", program, *argv],
        cwd=directory,
        env={**os.environ, "COLUMNS": "80", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return set(run.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["fault", "--help"]])
def test_help_and_version_import_nothing_heavy(argv: list[str], tmp_path: Path) -> None:
    assert heavy_imports(RUN, argv, tmp_path) == set()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_of_a_command_imports_nothing_heavy(shell: str, tmp_path: Path) -> None:
    completion = {
        "_LAB_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "lab st",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "lab st",
    }
    program = RUN.replace("app()", "app(prog_name='lab')")
    assert heavy_imports(program, [], tmp_path, **completion) == set()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files of the lab `paper` in `lab`."""
    from lab.catalogue import load
    from lab.runtime.store import LabDirectory

    directory = tmp_path_factory.mktemp("paper")
    LabDirectory(directory / "lab").create(load("article", name="paper"))
    return directory


@pytest.mark.parametrize(
    "argv",
    [
        ["status"],
        ["routes"],
        ["announce", "hq", "10.9.0.0/24"],
        ["withdraw", "hq", "10.9.0.0/24"],
        ["exec", "nobody", "--", "true"],
        ["fault", "list"],
    ],
    ids=lambda argv: argv[0],
)
def test_command_that_talks_to_a_lab_imports_pydantic_only(argv: list[str], directory: Path) -> None:
    """typer coerces arguments by pydantic, and topologies are its models."""
    assert heavy_imports(ON_PAPER + RUN, argv, directory) <= {"pydantic"}


def test_list_imports_nothing_heavy(directory: Path) -> None:
    assert heavy_imports(ON_PAPER + RUN, ["list"], directory) == set()


def test_down_imports_pydantic_only(tmp_path: Path) -> None:
    assert heavy_imports(ON_PAPER + RUN, ["down", "paper"], tmp_path) <= {"pydantic"}


def test_docker_engine_finds_nodes_without_the_sdk(tmp_path: Path) -> None:
    """Nothing listens at this address, so the command ends with the attempt to connect."""
    address = f"unix://{tmp_path}/docker.sock"
    (tmp_path / "docker.sock").touch()
    assert heavy_imports(RUN, ["list"], tmp_path, DOCKER_HOST=address) <= {"pydantic"}
