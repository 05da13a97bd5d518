"""Verdicts, their evidence and their table, on paper."""

from pathlib import Path

import pytest

from lab.claims.claims import Claim, NoVerdict, Verdict
from lab.claims.record import as_json, as_markdown, by_claim, from_json, row_of


def claim(tmp_path: Path, openvpn: str = "2.6") -> Claim:
    return Claim("test_it", "it | works", openvpn, tmp_path / f"test_it-{openvpn}", article="says so")


def test_a_passed_test_without_a_verdict_is_its_authors_mistake(tmp_path: Path) -> None:
    with pytest.raises(NoVerdict, match="test_it"):
        claim(tmp_path).finding(passed=True)


def test_a_failed_test_shows_nothing_whatever_it_said_before(tmp_path: Path) -> None:
    it = claim(tmp_path)
    it.holds_if("the moon is full")
    finding = it.finding(passed=False)
    assert finding.verdict is Verdict.NOT_SHOWN
    assert finding.condition == ""


def test_evidence_names_the_file_that_keeps_it(tmp_path: Path) -> None:
    it = claim(tmp_path)
    it.echo("1 of 1 answered")
    it.echo("2 of 2 answered")
    it.holds()
    first, second = it.finding(passed=True).evidence
    assert first.file == second.file == "test_it-2.6/echo.txt"
    assert (tmp_path / first.file).read_text() == "1 of 1 answered\n2 of 2 answered\n"


def test_findings_survive_json(tmp_path: Path) -> None:
    it = claim(tmp_path)
    it.echo("answered")
    it.does_not_hold("it never did")
    findings = [it.finding(passed=True)]
    assert from_json(as_json(findings)) == findings


def test_versions_that_agree_share_a_row_and_others_are_told_apart(tmp_path: Path) -> None:
    old, new = claim(tmp_path, "2.6"), claim(tmp_path, "2.7")
    old.echo("answered")
    new.echo("silent")
    old.holds()
    new.holds()
    agreed = [new.finding(passed=True), old.finding(passed=True)]
    (group,) = by_claim(agreed)
    assert [finding.openvpn for finding in group] == ["2.6", "2.7"]
    assert row_of(group).verdict == "holds"
    assert row_of(group).openvpn == "2.6, 2.7"
    assert [e.file for e in row_of(group).evidence] == ["test_it-2.6/echo.txt"]
    new.does_not_hold("not any more")
    (group,) = by_claim([old.finding(passed=True), new.finding(passed=True)])
    assert row_of(group).verdict == "2.6: holds; 2.7: does not hold"
    assert row_of(group).condition == "2.7: not any more"
    assert [e.text for e in row_of(group).evidence] == ["answered", "silent"]


def test_several_findings_with_one_version_name_it_once(tmp_path: Path) -> None:
    it = claim(tmp_path, "2.7")
    it.holds()
    (group,) = by_claim([it.finding(passed=True)] * 2)
    assert row_of(group).openvpn == "2.7"


def test_the_table_has_a_row_per_claim_and_keeps_its_columns(tmp_path: Path) -> None:
    it = claim(tmp_path)
    it.holds()
    header, rule, row = as_markdown([it.finding(passed=True)]).splitlines()
    assert header.count("|") == rule.count("|") == row.replace("\\|", "").count("|")
    assert row.startswith("| it \\| works | says so | holds |  | 2.6 |")
