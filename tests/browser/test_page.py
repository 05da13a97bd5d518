"""The pages of `lab report` in Chromium: they render without errors, load nothing, and work by keyboard alone."""

import io
import re
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import FloatRect, expect

from tests.helpers.chromium import Browser, Page

pytestmark = [pytest.mark.docker, pytest.mark.browser]

LIGHT, DARK = "rgb(255, 255, 255)", "rgb(13, 17, 23)"
SEEN = "getComputedStyle(document.documentElement).backgroundColor"
INK = "getComputedStyle(document.documentElement).color"
FOCUSED = """(() => { const e = document.activeElement; return e.id || e.getAttribute("href")
  || e.getAttribute("aria-label") || e.tagName.toLowerCase() + ": " + e.textContent.trim().slice(0, 40) })()"""
ROLES: tuple[Literal["button", "link", "combobox", "region", "img", "table"], ...] = (
    *("button", "link", "combobox"),
    *("region", "img", "table"),
)


@pytest.fixture(params=["report", "comparison"])
def file(request: pytest.FixtureRequest) -> Path:
    """The page of a run, then that of a comparison."""
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.fixture
def page(chromium: Browser, report: Path) -> Page:
    """The page of a run in light colours."""
    return chromium.open(report)


# --- rendering --------------------------------------------------------------------------------------------


def test_page_renders_without_complaints_and_requests(chromium: Browser, file: Path) -> None:
    page = chromium.open(file)
    assert page.value("document.readyState") == "complete"
    sizes = page.value(
        "[...document.querySelectorAll('h1, h2, figure svg, table, figure img')]"
        ".filter(e => !e.closest('details')).map(e => [e.tagName, e.clientWidth || e.getBoundingClientRect().width,"
        " e.getBoundingClientRect().height])"
    )
    assert len(sizes) >= 10
    assert [size for size in sizes if min(size[1:]) < 10] == []
    assert page.value("[...document.images].every(i => i.complete && i.naturalWidth > 100)")
    assert page.complaints == []
    document, *others = page.requests
    assert document.startswith("file:///")
    assert all(url.startswith("data:") for url in others)


def test_complaints_include_blocked_requests_console_errors_and_exceptions(page: Page) -> None:
    """The control of the tests that expect no complaints."""
    page.value("fetch('https://192.0.2.1/').catch(() => 0)")
    assert any("Content Security Policy" in complaint for complaint in page.complaints)
    before = len(page.complaints)
    page.value("console.error('so')")
    page.value("new Promise(done => setTimeout(() => { setTimeout(done); throw new Error('no') }))")
    assert len(page.complaints) >= before + 2
    page.value(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s) })()"
    )
    assert page.value("window.ran ?? null") is None


def test_figures_have_the_text_colour_of_the_page(chromium: Browser, report: Path) -> None:
    for dark, paper in ((False, LIGHT), (True, DARK)):
        page = chromium.open(report, dark=dark)
        assert page.value(SEEN) == paper
        ink = page.value(INK)
        fills = page.value("[...document.querySelectorAll('figure svg text')].map(e => getComputedStyle(e).fill)")
        assert set(fills) == {ink}


def test_topology_drawing_follows_the_colour_scheme(chromium: Browser, report: Path) -> None:
    papers = []
    for dark in (False, True):
        page = chromium.open(report, dark=dark)
        page.value("window.picture = document.querySelector('#topologies img'); picture.scrollIntoView()")
        papers.append(_pixel(page, "picture"))
    light, dark_ = papers
    assert sum(light) > 600
    assert sum(dark_) < 150


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_has_enough_contrast(chromium: Browser, file: Path, *, dark: bool) -> None:
    """WCAG 2.1, success criterion 1.4.3: 4.5 to 1."""
    page = chromium.open(file, dark=dark)
    page.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    faint = page.value(_CONTRAST)
    assert faint["checked"] > 100
    assert faint["below"] == []


def test_narrow_screen_scrolls_tables_but_not_the_page(chromium: Browser, file: Path) -> None:
    page = chromium.open(file, width=400)
    assert page.value("document.documentElement.scrollWidth") <= 400
    assert page.value("[...document.querySelectorAll('.wide')].some(e => e.scrollWidth > e.clientWidth)")


def test_reduced_motion_disables_smooth_scrolling(chromium: Browser, report: Path) -> None:
    how = "getComputedStyle(document.documentElement).scrollBehavior"
    assert chromium.open(report).value(how) == "smooth"
    assert chromium.open(report, still=True).value(how) == "auto"


# --- keyboard ----------------------------------------------------------------------------------


def walk(page: Page) -> list[str]:
    """Press Tab from the beginning of the page to its end; return the focused elements."""
    count = page.value("document.querySelectorAll('a, button, select, summary, [tabindex=\"0\"]').length")
    met = []
    for _ in range(count + 1):
        page.press("Tab")
        focused = page.value(FOCUSED)
        if focused.startswith("body"):
            break
        met.append(focused)
    return met


def test_tab_reaches_all_elements_in_page_order(chromium: Browser, file: Path) -> None:
    page = chromium.open(file)
    met = walk(page)
    order = page.value(
        "[...document.querySelectorAll('a, button, select, summary, [tabindex=\"0\"]')]"
        ".filter(e => e.checkVisibility() && !e.matches('details:not([open]) > :not(summary) *'))"
        ".map(e => e.id || e.getAttribute('href') || e.getAttribute('aria-label')"
        " || e.tagName.toLowerCase() + ': ' + e.textContent.trim().slice(0, 40))"
    )
    assert met == order
    assert met[:2] == ["#main", "theme"]
    assert page.value('document.querySelectorAll(\'[tabindex]:not([tabindex="0"]):not([tabindex="-1"])\').length') == 0


def test_focused_elements_have_an_outline_and_a_name(chromium: Browser, report: Path) -> None:
    page = chromium.open(report)
    for _ in walk(chromium.open(report)):
        page.press("Tab")
        style = page.value(
            "(() => { const s = getComputedStyle(document.activeElement);"
            " return [document.activeElement.tagName, s.outlineStyle, parseFloat(s.outlineWidth)] })()"
        )
        assert style[1:] == ["solid", 3], style
    named = [element for role in ROLES for element in page.tab.get_by_role(role).all()]
    assert len(named) > 20
    for element in named:
        expect(element).to_have_accessible_name(re.compile(r"\S"))


def test_skip_link_moves_focus_to_main(page: Page) -> None:
    page.press("Tab")
    assert page.value("document.activeElement.getBoundingClientRect().top") >= 0
    page.press("Enter")
    assert page.value(FOCUSED) == "main"


def test_keyboard_chooses_the_colour_scheme(chromium: Browser, report: Path) -> None:
    page = chromium.open(report, dark=True)
    page.press("Tab", times=2)
    seen = []
    for _ in range(3):
        page.press("Enter")
        seen.append((page.value("document.activeElement.textContent"), page.value(SEEN)))
    assert seen == [("Colours: light", LIGHT), ("Colours: dark", DARK), ("Colours: as the system", DARK)]


def test_keyboard_opens_details(page: Page) -> None:
    page.value("document.querySelector('summary').focus()")
    page.press("Enter")
    assert page.value("document.querySelector('details').open") is True
    page.press("Space")
    assert page.value("document.querySelector('details').open") is False


def test_keyboard_picks_the_timeline_of_a_trial(page: Page) -> None:
    summary, rows = (
        "document.getElementById('trial-summary').textContent",
        "document.querySelectorAll('#moments tbody tr').length",
    )
    assert page.value(summary).startswith("Trial 1 of announce, ipv4, article, iroute 2.7")
    assert page.value("document.getElementById('trial-summary').getAttribute('role')") == "status"
    assert page.value(rows) == 8
    assert page.value("document.querySelectorAll('#drawn circle').length") == 8
    assert page.value("[...document.querySelectorAll('#drawn text')].map(e => e.textContent)")[-6:] == [
        *("event", "detection", "UPDATE", "RIB", "FIB", "first packet")
    ]
    page.value("document.getElementById('variant').focus()")
    page.press("ArrowDown")
    assert page.value(summary).startswith("Trial 1 of announce, ipv4, article, vxlan")
    page.press("Tab")
    page.press("ArrowDown")
    assert page.value(summary).startswith("Trial 2 of announce, ipv4, article, vxlan")
    page.press("Tab", times=2)
    assert page.value(FOCUSED) == "next"
    page.press("Enter")
    assert "Not drawn: invalid: the sender fell behind: 870 of 1000 pps." in page.value(summary)
    assert page.value("document.querySelectorAll('#drawn circle').length") == 0
    assert page.value(rows) == 8
    page.press("Space", times=9)
    assert page.value(summary).startswith("Trial 8 ")
    assert page.value(FOCUSED) == "next"
    page.press("Shift+Tab")
    page.press("Enter")
    assert page.value(summary).startswith("Trial 7 ")
    assert page.value(summary).endswith("Flags: control and data plane differ by 12 ms.")
    assert page.complaints == []


# --- helpers -----------------------------------------------------------------------------------


def _pixel(page: Page, element: str) -> tuple[int, ...]:
    """Return the background colour near the upper left corner of an element, from a screenshot."""
    box = page.value(
        f"(() => {{ const b = {element}.getBoundingClientRect(); return [b.x + scrollX, b.y + scrollY] }})()"
    )
    clip = FloatRect(x=box[0] + 3, y=box[1] + 3, width=4, height=4)
    shot = page.tab.screenshot(clip=clip, full_page=True)
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    return tuple(picture.crop((1, 1, 2, 2)).tobytes())


_CONTRAST = """
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
    const part = c[i] / 255;
    return sum + weight * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  }, 0);
  const paper = (e) => {
    for (; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
  };
  const below = [];
  let checked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !e.checkVisibility()) continue;
    if (e.closest("script, style, noscript, title, option")) continue;
    const style = getComputedStyle(e);
    const ink = numbers(e.closest("svg") ? style.fill : style.color);
    const [low, high] = [luminance(ink), luminance(paper(e))].sort((a, b) => a - b);
    checked += 1;
    if ((high + 0.05) / (low + 0.05) < 4.5) below.push([e.outerHTML.slice(0, 80), style.color]);
  }
  return { checked, below };
})()
"""
