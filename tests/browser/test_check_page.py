"""The page of `lab check` in Chromium: it renders without errors, loads nothing, and opens by keyboard."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.check.model import Checked, Checks, Result, Step, Verdict
from lab.check.page import page
from lab.check.report import make_report
from tests.helpers.chromium import Browser

pytestmark = [pytest.mark.docker, pytest.mark.browser]

OPEN = "[...document.querySelectorAll('details')].map(e => e.open)"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The page of two steps, of which one has what does not hold."""
    long = "10.1.0.0/24, 2001:db8:1::/64 through tun0 with AS path 65001 and no other prefix in the RIB of " + "x" * 200
    held, failed = (
        Checked("", "route", long, "branch", Result(verdict, long, 1.0, evidence=(long,)))
        for verdict in (Verdict.HELD, Verdict.FAILED)
    )
    checks = Checks((Step(), Step("a step")), Path("mine.checks.yml"))
    started = datetime(2026, 5, 1, tzinfo=UTC)
    report = make_report("mine", Path("x"), checks, [(held, failed), (held,)], started=started, seconds=1.0)
    written = tmp_path / "checks.html"
    written.write_text(page(report, load("article")))
    return written


@pytest.mark.parametrize("width", [1280, 400])
def test_page_renders_without_complaints_requests_and_overflow(chromium: Browser, file: Path, width: int) -> None:
    shown = chromium.open(file, width=width)
    assert shown.complaints == []
    assert [url for url in shown.requests[1:] if not url.startswith("data:")] == []
    assert shown.value("[...document.images].every(i => i.complete && i.naturalWidth > 100)")
    assert shown.value("document.documentElement.scrollWidth <= innerWidth")


def test_failures_are_open_and_other_entries_open_by_keyboard(chromium: Browser, file: Path) -> None:
    shown = chromium.open(file)
    assert shown.value(OPEN) == [False, True, False]
    shown.press("Tab")
    shown.press("Enter")
    assert shown.value(OPEN) == [True, True, False]
