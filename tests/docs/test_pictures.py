"""The picture of the terminal shows the tables that `lab up` prints."""

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from tests.helpers.pages import ROOT

pytestmark = pytest.mark.docker

NAME = f"picture-{os.getpid()}"


def lines_of(picture: str) -> set[str]:
    """Return the lines of a terminal's picture, with single spaces between words."""
    parts: dict[float, str] = {}
    for found in re.finditer(r'<text [^>]* y="([\d.]+)"[^>]*>(.*?)</text>', picture):
        parts[float(found[1])] = parts.get(float(found[1]), "") + " " + unescape(found[2])
    return {" ".join(line.split()) for line in parts.values()}


def headings(printed: str) -> list[str]:
    """Return the title and the columns of each table: the two lines above its rule."""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    return [line for at, rule in enumerate(lines) if rule.startswith("───") for line in lines[at - 2 : at]]


def test_headings_are_the_two_lines_above_a_rule() -> None:
    assert headings("A\nb   c\n─────\n1   2\n\nD\ne\n───\n") == ["A", "b c", "D", "e"]


def test_lines_of_a_picture() -> None:
    assert lines_of('<text x="1" y="2.5" a="b">one&#160;</text><text x="9" y="2.5">two</text>') == {"one two"}


def test_terminal_picture_has_the_tables_of_lab_up(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "lab.cli"]
    try:
        up = subprocess.run(
            [*run, "up", "article", "--name", NAME], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    finally:
        subprocess.run([*run, "down", NAME], cwd=tmp_path, capture_output=True, check=False)
    assert up.returncode == 0, up.stderr
    expected = {heading.replace(NAME, "article") for heading in headings(up.stdout)}
    assert len(expected) == 6
    drawn = lines_of((ROOT / "docs" / "pictures" / "lab-up.svg").read_text())
    assert expected - drawn == set(), "draw it again: docs/pictures/make.py terminal"
