"""The program `lab`: its help, its version and its completion."""

import inspect
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from lab import __version__
from lab.cli.app import app
from lab.cli.commands import COMMANDS


@pytest.fixture(scope="module")
def group() -> Any:
    return typer.main.get_command(app)


def test_help_lists_every_command_once() -> None:
    shown = CliRunner().invoke(app, ["--help"], prog_name="lab", env={"COLUMNS": "200"}).stdout
    for name, entry in COMMANDS.items():
        (line,) = (line for line in shown.splitlines() if line.split()[:1] == [name])
        assert entry.summary.split()[0] in line


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_is_first_sentence_of_help(group: Any, name: str) -> None:
    command = group.get_command(typer.Context(group), name)
    paragraph = " ".join(inspect.cleandoc(command.help).split("\n\n")[0].split())
    assert paragraph == COMMANDS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_help(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], prog_name="lab")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: lab {name} ")


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"], prog_name="lab")
    assert (result.exit_code, result.stdout) == (0, f"lab {__version__}\n")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("lab st", ["status"]),
        ("lab fault u", ["undo"]),
        ("lab validate dual", ["dual-homed"]),
        ("lab routes --fa", ["--family"]),
    ],
)
def test_completion(typed: str, offered: list[str]) -> None:
    words = typed.split()
    environment = {
        "_LAB_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    result = CliRunner().invoke(app, [], prog_name="lab", env=environment)
    assert result.stdout.split() == offered
