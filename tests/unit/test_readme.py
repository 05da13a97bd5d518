"""The README says what the tests show, and nothing that they do not."""

import ast
from pathlib import Path

from lab.claims.claims import Verdict, as_markdown, from_json
from lab.compare.survey import Declared
from lab.tunnel import modes

ROOT = Path(__file__).parents[2]


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


def test_the_table_of_claims_is_what_lab_claims_printed() -> None:
    kept = from_json((ROOT / "docs" / "claims.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert as_markdown(kept) in readme, "write it anew: `lab claims --json > docs/claims.json`, and `--markdown` here"
    assert {f.test: (f.sentence, f.article) for f in kept} == claimed(), "other claims than the tests': as above"
    assert not [finding.test for finding in kept if finding.verdict is Verdict.NOT_SHOWN]


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
