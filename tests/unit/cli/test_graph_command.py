"""`lab graph`: the format of what it writes, by option and by file name."""

from pathlib import Path

import pytest

from tests.helpers.paper import Program

BEGINNINGS = {"svg": "<svg ", "mermaid": "---\ntitle: "}


def test_graph_prints_mermaid_without_a_file(lab: Program) -> None:
    assert "flowchart" in lab("graph", "article").stdout


@pytest.mark.parametrize(
    ("name", "written"),
    [("a.svg", "svg"), ("A.SVG", "svg"), ("a.b.svg", "svg"), ("a.mmd", "mermaid"), ("a.mermaid", "mermaid")],
)
def test_graph_takes_format_from_file_name(lab: Program, name: str, written: str) -> None:
    result = lab("graph", "article", "-o", name)
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path(name).read_text().startswith(BEGINNINGS[written])


@pytest.mark.parametrize(
    ("option", "name"), [("svg", "picture"), ("mermaid", "a.txt"), ("mermaid", "a.svg"), ("svg", "a.mmd")]
)
def test_graph_option_overrides_file_name(lab: Program, option: str, name: str) -> None:
    assert lab("graph", "article", "--format", option, "-o", name).exit_code == 0
    assert Path(name).read_text().startswith(BEGINNINGS[option])


@pytest.mark.parametrize("name", ["a.png", "a", "svg", ".svg"])
def test_graph_refuses_unknown_suffix_and_writes_nothing(lab: Program, name: str) -> None:
    result = lab("graph", "article", "-o", name)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert f"--output {name}: the suffix is not a known format" in line
    assert ".svg, .mmd, .mermaid" in line
    assert not Path(name).exists()


def test_graph_prints_svg_on_request(lab: Program) -> None:
    assert lab("graph", "article", "-f", "svg").stdout.startswith(BEGINNINGS["svg"])


def test_graph_into_a_missing_directory_is_an_error(lab: Program) -> None:
    assert lab("graph", "article", "-o", "no/where.svg").exit_code == 2
