"""The README says what the tests show, and nothing that they do not."""

import ast
from pathlib import Path

from lab.compare.survey import Declared
from lab.tunnel import modes

ROOT = Path(__file__).parents[2]


def claimed() -> dict[str, str]:
    """The sentence of each test that is marked `claims`, by the test's name."""
    found: dict[str, str] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.claims":
                        (sentence,) = mark.args
                        assert isinstance(sentence, ast.Constant), f"{node.name}: write the sentence out"
                        found[node.name] = str(sentence.value)
    return found


def test_every_claim_stands_in_the_readme_with_its_test() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = {line.split(" | ")[-1].strip("` |"): line for line in readme.splitlines() if line.startswith("| ")}
    for test, sentence in claimed().items():
        assert test in rows, f"{test} is not in the README's table: take it from `lab claims --markdown`"
        assert sentence.replace("|", "\\|") in rows[test]
    named = {test for test in rows if test.startswith("test_")}
    assert named == claimed().keys()


def test_every_topology_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for file in (ROOT / "topologies").glob("*.clab.yml"):
        assert f"`{file.name.removesuffix('.clab.yml')}`" in readme, file.name


def test_every_tunnel_mode_stands_in_the_comparison() -> None:
    for page in ("README.md", "docs/modes.md"):
        rows = [line.split(" | ")[0].strip("| ") for line in (ROOT / page).read_text().splitlines()]
        for mode in (Declared.of(mode) for mode in modes().values()):
            name = f"{mode.mode} (deprecated)" if mode.deprecated else mode.mode
            assert name in rows, f"{name} is not in {page}: take it from `lab modes --markdown`"
