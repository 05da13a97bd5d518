"""Commands in README and docs: each exists, with the options it is shown with."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from lab.cli.app import app
from tests.helpers import pages

LAB = typer.main.get_command(app)
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (pages.ROOT / "Makefile").read_text(), re.MULTILINE))
SHELL = [block for block in pages.blocks() if block.language == "sh"]
PROGRAMS = {"lab", ".venv/bin/lab"}


def resolve(words: list[str]) -> tuple[Any, list[str], list[str]]:
    """Return the command that words name, its path, and the words after it."""
    command, path, rest = LAB, ["lab"], list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            pytest.fail(f"there is no command `{' '.join([*path, rest[0]])}`")
        command, path, rest = command.commands[rest[0]], [*path, rest[0]], rest[1:]
    return command, path, rest


def check_options(command: Any, path: list[str], words: list[str]) -> None:
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    for word in words:
        if word == "--":
            return
        if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word):
            assert word.partition("=")[0] in known, f"`{' '.join(path)}` has no option {word}"


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_command_lines_parse(block: pages.Block) -> None:
    for program, *words in pages.commands(block.text):
        if program in PROGRAMS:
            command, path, rest = resolve(words)
            check_options(command, path, rest)
            if not hasattr(command, "commands"):
                command.make_context(path[-1], rest)  # raises for an argument that is missing or malformed
        elif program == "make":
            targets = [word for word in words if not word.startswith("-") and "=" not in word]
            assert set(targets) <= TARGETS, block.text


@pytest.mark.parametrize("page", pages.pages(), ids=pages.name_of)
def test_commands_in_text_exist(page: Path) -> None:
    for code in pages.inline_code(page.read_text()):
        words = re.split(r"\s+", code.strip())
        if words[0] in PROGRAMS and len(words) > 1 and re.fullmatch(r"[a-z-]+", words[1]):
            command, path, rest = resolve([word for word in words[1:] if word])
            check_options(command, path, rest)
        elif words[0] == "make" and len(words) > 1:
            assert words[1] in TARGETS, code
        elif words[0].startswith("--lab-"):
            assert words[0].partition("=")[0] in pytest_options(), code


def pytest_options() -> set[str]:
    """Return the options of the plugin and of this project's conftest.py."""
    sources = [*(pages.ROOT / "lab" / "testing").glob("*.py"), pages.ROOT / "tests" / "conftest.py"]
    return {option for file in sources for option in re.findall(r'"(--lab-[a-z-]+)"', file.read_text())}


def test_block_that_is_not_run_says_why() -> None:
    for block in SHELL:
        assert block.runs or len(block.directives["not run"]) > 10, f"{block}: give the reason"
    assert [str(block) for block in pages.blocks() if not block.language] == [], "name the language of these blocks"


@pytest.mark.parametrize("page", pages.pages(), ids=pages.name_of)
def test_commands_are_in_fenced_blocks(page: Path) -> None:
    assert (
        re.findall(r"^(?: {4}|\t)(?:lab|make|pytest|\.venv/\S+) .*", pages.without_blocks(page.read_text()), re.M) == []
    )


def test_simple_commands_of_a_script() -> None:
    script = "A=1 sudo lab up x \\\n  --json >out || true  # comment\nlab exec a -- sh -c 'x; y' | cat\n"
    assert list(pages.commands(script)) == [
        ["lab", "up", "x", "--json"],
        ["true"],
        ["lab", "exec", "a", "--", "sh", "-c", "x; y"],
        ["cat"],
    ]


def test_script_checks_the_exit_code() -> None:
    (block,) = pages.blocks_of("p.md", "<!-- exit code: 1 -->\n```sh\ntrue\nfalse  # no\n```\n")
    (other,) = pages.blocks_of("p.md", "<!-- exit code: 1 -->\n```sh\nfalse\ntrue\n```\n")
    codes = [subprocess.run(["bash", "-e", "-c", each.script], check=False).returncode for each in (block, other)]
    assert codes == [0, 1]


def test_blocks_of_a_page() -> None:
    text = "a\n<!-- not run: because -->\n```sh\nlab up\n```\n\n<!-- file: x.py -->\n```python\nx = 1\n```\n"
    text += "```sh\nlab down\n```\n"
    first, second, third = pages.blocks_of("p.md", text)
    assert (first.directives, first.runs, first.line) == ({"not run": "because"}, False, 3)
    assert (second.directives, second.text) == ({"file": "x.py"}, "x = 1\n")
    assert (third.directives, third.runs) == ({}, True)
