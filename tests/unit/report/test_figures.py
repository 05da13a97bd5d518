"""The figures of reports: their content, escaping and colours."""

import re
from xml.etree import ElementTree as ET

import pytest

from lab.report.comparison import compare
from lab.report.drawing import DARK, INK, INK_ON_DARK, INK_ON_LIGHT, LIGHT, PALETTE, Drawing
from lab.report.figures import difference_figures, event_figures, load_figure
from lab.report.summary import RunSummary, summary_of
from tests.helpers import runs

SVG = "{http://www.w3.org/2000/svg}"
ONE_FAMILY = runs.trials(8, families=("ipv4",))
ANNOUNCE = [t for t in ONE_FAMILY if t.variant.event == "announce"]


def drawn(summary: RunSummary) -> dict[str, Drawing]:
    return {d.name: d for event in summary.events for d in event_figures(event, event.event)}


@pytest.fixture(scope="module")
def figures() -> dict[str, Drawing]:
    """Return all figures of a small run."""
    return drawn(summary_of(runs.run(), ONE_FAMILY))


def texts(figure: Drawing) -> list[str]:
    return [text.text or "" for text in ET.fromstring(figure.file).iter(f"{SVG}text")]  # noqa: S314 - our own


def test_events_have_their_figures(figures: dict[str, Drawing]) -> None:
    assert list(figures) == [
        *("announce-fib-ecdf", "announce-first-packet-ecdf", "announce-stages", "announce-ratios"),
        *("blackhole-fib-ecdf", "blackhole-until-back-ecdf", "blackhole-stages", "blackhole-ratios"),
    ]
    legend = texts(figures["blackhole-fib-ecdf"])
    for word in ("bfd 3x100 ms", "hold 3 s", "hold 9 s", "ping-restart 45 s", "iroute 2.7", "VXLAN", "bare wire", "10"):
        assert word in legend
    assert "time until traffic came back (s)" in texts(figures["blackhole-until-back-ecdf"])
    assert "time to FIB (s)" in legend
    assert "… to UPDATE" in texts(figures["announce-stages"])
    assert "seconds since detection, medians" in texts(figures["blackhole-stages"])
    assert "seconds since detection, medians" not in texts(figures["announce-stages"])
    assert "article, iroute 2.7, IPv4: FIB / bare wire" in texts(figures["announce-ratios"])


def test_invalid_trials_do_not_change_figures(figures: dict[str, Drawing]) -> None:
    absurd = [
        t.model_copy(
            update={
                "number": t.number + 100,
                "status": status,
                "stages": tuple(s.model_copy(update={"at": 999.0}) for s in t.stages),
            }
        )
        for t in ANNOUNCE
        for status in ("invalid", "timed-out")
    ]
    assert drawn(summary_of(runs.run(), [*ANNOUNCE, *absurd])).items() <= figures.items()


def test_valid_trials_change_figures(figures: dict[str, Drawing]) -> None:
    more = ANNOUNCE[0].model_copy(update={"number": 100})
    changed = drawn(summary_of(runs.run(), [*ANNOUNCE, more]))
    assert changed["announce-fib-ecdf"] != figures["announce-fib-ecdf"]


def test_event_without_valid_trials_has_no_figures() -> None:
    trials = [t.model_copy(update={"status": "invalid"}) for t in ANNOUNCE]
    assert drawn(summary_of(runs.run(), trials)) == {}


def test_zeros_are_drawn_on_a_logarithmic_axis() -> None:
    zero = [
        t.model_copy(update={"stages": tuple(s.model_copy(update={"at": s.at * (t.number != 1)}) for s in t.stages)})
        for t in ANNOUNCE
    ]
    assert "announce-fib-ecdf" in drawn(summary_of(runs.run(), zero))
    nothing = [
        t.model_copy(update={"stages": tuple(s.model_copy(update={"at": 0.0}) for s in t.stages)}) for t in ANNOUNCE
    ]
    assert "announce-fib-ecdf" not in drawn(summary_of(runs.run(), nothing))


def test_foreign_load_has_a_figure() -> None:
    found = load_figure(summary_of(runs.run(), ANNOUNCE))
    assert found is not None
    assert "minutes since the run began" in texts(found)
    unknown = [t.model_copy(update={"foreign_load": None}) for t in ANNOUNCE]
    assert load_figure(summary_of(runs.run(), unknown)) is None


def test_differences_are_drawn_per_event() -> None:
    before = summary_of(runs.run(), ANNOUNCE)
    names = {"announce": "announce", "blackhole": "blackhole", "elsewhere": "elsewhere"}
    found = difference_figures(compare(before, before), names)
    assert [d.name for d in found] == ["announce-differences"]


def test_lines_take_the_colour_of_the_text(figures: dict[str, Drawing]) -> None:
    for figure in figures.values():
        assert INK not in figure.svg
        assert "currentColor" in figure.svg
        assert not re.search(r"(#ffffff|#000000|white|black)\b", figure.svg, re.IGNORECASE), figure.name
        for paper in (LIGHT, DARK, "prefers-color-scheme: dark"):
            assert paper in figure.file
            assert paper not in figure.inline


def test_figures_have_alternative_texts(figures: dict[str, Drawing]) -> None:
    for figure in figures.values():
        root = ET.fromstring(figure.file)  # noqa: S314 - our own
        assert root.get("role") == "img"
        assert root.get("aria-label") == figure.alt
    assert "article, iroute 2.7, IPv4" in figures["announce-fib-ecdf"].alt


def test_inline_figures_have_unique_ids(figures: dict[str, Drawing]) -> None:
    page = "".join(figure.inline for figure in figures.values())
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:href="#|url\(#)([^")]*)', page)
    assert used
    assert set(used) <= set(ids)


def test_text_of_records_is_escaped() -> None:
    evil = 'a $x_1$ <b> & "q"'
    trials = [t.model_copy(update={"variant": t.variant.model_copy(update={"topology": evil})}) for t in ANNOUNCE]
    found = drawn(summary_of(runs.run(), trials))["announce-fib-ecdf"]
    assert f"{evil}, IPv4" in texts(found)


def luminance(colour: str) -> float:
    """WCAG 2: relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """WCAG 2: 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_palette_has_contrast_on_light_and_dark() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for colour in PALETTE:
        assert contrast(colour, LIGHT) >= 3, colour
        assert contrast(colour, DARK) >= 3, colour
    assert contrast(INK_ON_LIGHT, LIGHT) >= 7
    assert contrast(INK_ON_DARK, DARK) >= 7


def test_figures_are_reproducible(figures: dict[str, Drawing]) -> None:
    assert drawn(summary_of(runs.run(), ANNOUNCE)).items() <= figures.items()
