"""The record of findings: a newer run is merged into it, and the page shows it."""

import ast
from pathlib import Path

import pytest

from lab.claims.claims import Evidence, Finding, Verdict
from lab.claims.record import as_json, as_page, from_json, merge, normalised

ROOT = Path(__file__).parents[3]


def finding(test: str, openvpn: str = "2.6", verdict: Verdict = Verdict.HOLDS, **more: str) -> Finding:
    file = more.pop("file", "tests/claims/test_a.py")
    evidence = (Evidence("log line", text, f"{test}/x.log"),) if (text := more.pop("seen", "")) else ()
    condition = more.pop("condition", "")
    on = tuple(filter(None, more.pop("on", "").split(", ")))
    assert not more
    return Finding(test, f"sentence of {test}", openvpn, verdict, condition, evidence, file=file, seen_on=on)


OLD = [finding("test_a"), finding("test_a", "2.7"), finding("test_b"), finding("test_z", file="tests/z.py")]


def test_newer_finding_takes_the_place_of_the_older() -> None:
    new = finding("test_a", "2.7", Verdict.DOES_NOT_HOLD)
    assert merge(OLD, [new]) == [OLD[0], new, OLD[2], OLD[3]]


def test_merging_the_same_findings_changes_nothing() -> None:
    assert merge(OLD, OLD) == OLD
    assert merge(OLD, OLD[1:3]) == OLD
    assert merge(OLD, []) == OLD


def test_all_findings_of_a_test_and_version_are_replaced_together() -> None:
    """A test with parameters has several."""
    one, two, three = (finding("test_a", condition=text) for text in ("one", "two", "three"))
    assert merge([one, two, OLD[2]], [three]) == [three, OLD[2]]
    assert merge([one, OLD[2]], [two, three]) == [two, three, OLD[2]]


def test_finding_of_a_new_test_comes_after_those_of_its_file() -> None:
    new = finding("test_c")
    assert merge(OLD, [new]) == [*OLD[:3], new, OLD[3]]
    other_version = finding("test_b", "2.7")
    assert merge(OLD, [other_version]) == [*OLD[:3], other_version, OLD[3]]
    elsewhere = finding("test_d", file="tests/new.py")
    assert merge(OLD, [elsewhere]) == [*OLD, elsewhere]


def test_normalised_finding_has_each_piece_of_evidence_once() -> None:
    seen = [Evidence("log line", f"from 192.0.2.1:{port}", "x.log") for port in (50000, 50001)]
    both = Finding("test_a", "", "2.6", Verdict.HOLDS, evidence=tuple(seen))
    assert [each.text for each in normalised(both).evidence] == ["from 192.0.2.1:PORT"]
    assert normalised(normalised(both)) == normalised(both)


def test_page_names_the_patch_levels_that_were_recorded() -> None:
    old = finding("test_a", on="openvpn 2.6.14-1, Linux 6.18.0")
    new = finding("test_a", "2.7", on="openvpn 2.7.8-1, Linux 6.18.0")
    page = as_page(from_json(as_json([old, new, finding("test_b")])))
    section = page.partition("### test_a\n")[2].partition("###")[0]
    assert "- seen on openvpn 2.6.14-1, Linux 6.18.0\n- seen on openvpn 2.7.8-1, Linux 6.18.0\n" in section
    assert "seen on" not in page.partition("### test_b\n")[2]


def test_page_has_a_table_per_file_and_the_evidence_with_its_versions() -> None:
    page = as_page([finding("test_a", seen="a | b"), finding("test_a", "2.7", seen="a | b"), *OLD[2:]])
    assert page.startswith("# All claims\n")
    assert "## claims: a\n" in page
    assert "| sentence of test_a | - | holds |  | 2.6, 2.7 | [test_a](#test_a) |" in page
    assert "### test_a\n\n- log line, OpenVPN 2.6 and 2.7: `a | b`\n" in page
    assert page.count("### ") == 3


def claimed() -> dict[str, tuple[str, str, str]]:
    """Return sentence, article and file of each test that is marked `claims`, by the test's name."""
    found: dict[str, tuple[str, str, str]] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.claims":
                        (sentence,) = map(ast.literal_eval, mark.args)
                        said = {word.arg: ast.literal_eval(word.value) for word in mark.keywords}
                        found[node.name] = (sentence, said.get("article", ""), str(file.relative_to(ROOT)))
    return found


@pytest.fixture(scope="module")
def kept() -> list[Finding]:
    return from_json((ROOT / "docs" / "claims.json").read_text())


def test_page_of_the_documentation_is_written_from_the_record(kept: list[Finding]) -> None:
    page = (ROOT / "docs" / "findings" / "claims.md").read_text()
    assert page == as_page(kept), "write it again: `lab claims --page`"


def test_record_has_the_claims_of_the_tests_with_a_verdict_each(kept: list[Finding]) -> None:
    found = {f.test: (f.sentence, f.article, f.file) for f in kept}
    assert found == claimed(), "renew those that differ: `lab claims --renew TEST`"
    assert not [finding.test for finding in kept if finding.verdict is Verdict.NOT_SHOWN]


def test_record_is_normalised(kept: list[Finding]) -> None:
    assert [normalised(finding) for finding in kept] == kept
