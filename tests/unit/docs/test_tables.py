"""The tables of the documentation: claims, topologies, modes."""

import ast
from pathlib import Path

from lab.claims.claims import Verdict, as_markdown, from_json
from lab.compare.survey import Declared
from lab.tunnel import modes

ROOT = Path(__file__).parents[3]


def claimed() -> dict[str, tuple[str, str]]:
    """Sentence, and what the article says of it, of each test that is marked `claims`, by the test's name."""
    found: dict[str, tuple[str, str]] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.claims":
                        (sentence,) = map(ast.literal_eval, mark.args)
                        said = {word.arg: ast.literal_eval(word.value) for word in mark.keywords}
                        found[node.name] = (sentence, said.get("article", ""))
    return found


def test_claims_are_those_of_the_tests() -> None:
    kept = from_json((ROOT / "docs" / "claims.json").read_text())
    page = (ROOT / "docs" / "findings" / "claims.md").read_text()
    assert as_markdown(kept) in page, "renew both with `lab claims`"
    assert {f.test: (f.sentence, f.article) for f in kept} == claimed(), "renew the table with `lab claims`"
    assert not [finding.test for finding in kept if finding.verdict is Verdict.NOT_SHOWN]


def test_every_topology_is_listed() -> None:
    page = (ROOT / "docs" / "topologies.md").read_text()
    for file in (ROOT / "topologies").glob("*.clab.yml"):
        assert f"`{file.name.removesuffix('.clab.yml')}`" in page, file.name


def test_every_mode_is_compared() -> None:
    rows = [line.split(" | ")[0].strip("| ") for line in (ROOT / "docs" / "modes.md").read_text().splitlines()]
    for mode in (Declared.of(mode) for mode in modes().values()):
        name = f"{mode.mode} (deprecated)" if mode.deprecated else mode.mode
        assert name in rows, f"{name} is not in docs/modes.md: take it from `lab modes --markdown`"
