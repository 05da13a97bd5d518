"""The report of checks: JSON, JUnit XML, and the page."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from lab.catalogue import load
from lab.check.junit import junit
from lab.check.model import Checked, Checks, Result, Step, Verdict
from lab.check.page import page
from lab.check.report import CheckReport, make_report
from lab.cli.output import plain

STARTED = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
FILE = Path("mine.checks.yml")


def checked(verdict: Verdict, what: str = "it holds", *, line: int | None = 7, **more: object) -> Checked:
    details = {"seen": "<seen> & \x1b[31m", "after": 1.5, **more}
    result = Result(verdict, **details)  # type: ignore[arg-type]
    return Checked("", "tunnel", what, "branch-hq", result, FILE if line else None, line, within=1.0)


def report_of(*steps: tuple[str, list[Checked]], trouble: str = "") -> CheckReport:
    checks = Checks(tuple(Step(name) for name, _ in steps), FILE)
    done = [results for _, results in steps]
    return make_report("mine", Path("mine.clab.yml"), checks, done, started=STARTED, seconds=3.25, trouble=trouble)


HELD = checked(Verdict.HELD, evidence=("line one", "line two"))
FAILED = checked(Verdict.FAILED, "it <fails>", cause="hub drops it", logs=Path("/logs/hq"))
LATE = checked(Verdict.LATE)
UNTOLD = checked(Verdict.CANNOT_TELL)
REMARK = checked(Verdict.CANNOT_TELL, "it may hold", line=None, remark=True)


@pytest.mark.parametrize(
    ("results", "held", "summary"),
    [
        ([HELD], True, "1 of 1 expectations held"),
        ([HELD, REMARK], True, "1 of 1 expectations held; 1 cannot tell"),
        ([HELD, FAILED], False, "1 of 2 expectations held; 1 does not hold"),
        ([FAILED, FAILED, LATE, UNTOLD], False, "0 of 4 expectations held; 2 do not hold; 1 late; 1 cannot tell"),
        (
            [HELD, checked(Verdict.CONFIRMED), checked(Verdict.REFUTED)],
            True,
            "1 of 1 expectations held; 1 foreseen failures confirmed; 1 foreseen failures refuted",
        ),
    ],
)
def test_report_counts_verdicts(results: list[Checked], held: bool, summary: str) -> None:
    found = report_of(("", results))
    assert (found.held, found.summary) == (held, summary)


def test_line_of_a_failure_has_place_expectation_observation_cause_and_logs() -> None:
    (failed, held) = report_of(("", [FAILED, HELD])).results
    assert str(failed) == (
        "mine.checks.yml:7: does not hold: it <fails> within 1 s; last seen: <seen> & \x1b[31m; cause: hub drops it; "
        "logs: /logs/hq"
    )
    assert held.where == "mine.checks.yml:7"


def test_json_has_all_of_a_result() -> None:
    data = json.loads(json.dumps(plain(report_of(("", [FAILED]), ("a step", [HELD])))))
    assert (data["lab"], data["checks"], data["held"], data["counts"]["does not hold"]) == ("mine", str(FILE), False, 1)
    assert [step["step"] for step in data["steps"]] == ["", "a step"]
    (failed,) = data["steps"][0]["results"]
    assert failed == {
        "kind": "tunnel",
        "expected": "it <fails>",
        "place": "branch-hq",
        "verdict": "does not hold",
        "seen": "<seen> & \x1b[31m",
        "after": 1.5,
        "within": 1.0,
        "cause": "hub drops it",
        "logs": "/logs/hq",
        "evidence": [],
        "remark": False,
        "file": str(FILE),
        "line": 7,
        "figures": {},
    }


def test_junit_has_a_suite_for_each_step_and_a_case_for_each_expectation() -> None:
    text = junit(report_of(("", [HELD, FAILED, LATE, REMARK]), ("a step", [UNTOLD])))
    root = Xml.fromstring(text)  # noqa: S314 - just written
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == ("testsuites", "5", "2", "1")
    first, second = root
    assert (first.get("name"), second.get("name")) == ("the lab as it is", "a step")
    assert (first.get("tests"), first.get("failures"), first.get("errors"), first.get("skipped")) == (
        "4",
        "2",
        "0",
        "1",
    )
    held, failed, late, remark = first
    assert [child.tag for child in held] == ["system-out"]
    assert held.get("classname") == "mine.the lab as it is"
    assert (failed.get("file"), failed.get("line"), failed.get("name")) == (str(FILE), "7", "it <fails>")
    (failure,) = failed.findall("failure")
    assert (failure.get("message"), failure.get("type")) == ("hub drops it", "does not hold")
    assert (late[0].tag, remark[0].tag) == ("failure", "skipped")
    assert (remark.get("file"), remark.get("line")) == (None, None)
    assert second[0].find("error") is not None


def test_junit_has_no_character_that_xml_forbids() -> None:
    text = junit(report_of(("", [FAILED])))
    assert "\x1b" not in text
    assert Xml.fromstring(text) is not None  # noqa: S314 - just written


def test_page_is_self_contained_and_escapes_what_was_seen() -> None:
    html = page(report_of(("", [HELD, FAILED]), ("a <step>", [UNTOLD]), trouble="not <undone>"), load("article"))
    assert "it &lt;fails&gt;" in html
    assert "&lt;seen&gt; &amp; " in html
    assert "a &lt;step&gt;" in html
    assert "not &lt;undone&gt;" in html
    assert "<script" not in html
    assert set(re.findall(r'(?:src|href)="([^":]*):', html)) == {"data"}
    assert re.search(r'<img src="data:image/svg\+xml;base64,\w+', html)
    assert "line one\nline two" in html


def test_page_opens_what_does_not_hold() -> None:
    html = page(report_of(("", [HELD, FAILED, REMARK])), load("article"))
    details = re.findall(r'<li class="(\w+)">\s*<details( open)?>', html)
    assert details == [("held", ""), ("failed", " open"), ("remark", "")]
