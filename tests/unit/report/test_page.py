"""The page as text: complete, self-contained, and safe with any text in the records."""

import base64
import csv
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lab.measure.record import Trial
from lab.report.comparison import compare
from lab.report.summary import read, summary_of
from lab.report.tables import Table, as_csv, as_markdown, event_table, slug
from lab.report.write import Written, short_names, write_comparison, write_report
from tests.helpers import runs

TRIALS = runs.trials(8, families=("ipv4",), detectors=2)
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """The elements of a page; checks that they are nested correctly."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.text = file.read_text()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def attribute(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A report of a run on the disk."""
    directory = runs.write(tmp_path_factory.mktemp("run"), TRIALS)
    return write_report(read(directory), directory.path / "report")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A comparison."""
    before = summary_of(runs.run(), runs.trials(14, families=("ipv4",), detectors=1))
    after = summary_of(runs.run("later", kernel="7.0"), runs.trials(14, slower=3, families=("ipv4",), detectors=1)[:-4])
    return write_comparison(compare(before, after), tmp_path_factory.mktemp("comparison"))


@pytest.fixture(scope="module", params=["written", "compared"])
def page(request: pytest.FixtureRequest) -> Page:
    """Both pages."""
    return Page(request.getfixturevalue(request.param).page)


def test_page_is_well_formed(page: Page) -> None:
    assert page.open == []
    ids = page.attribute("id")
    assert len(ids) == len(set(ids))
    for name in ("aria-labelledby", "for"):
        assert set(page.attribute(name)) <= set(ids)
    assert {link["href"].removeprefix("#") for link in page.all("a")} <= set(ids)
    assert page.all("html") == [{"lang": "en"}]
    assert [len(page.all(tag)) for tag in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    assert all(section["aria-labelledby"] for section in page.all("section"))


def test_tables_have_captions_and_scopes(page: Page) -> None:
    assert len(page.all("caption")) == len(page.all("table")) > 0
    assert {th.get("scope") for th in page.all("th")} == {"col", "row"}


def test_page_is_self_contained(page: Page) -> None:
    wanted = [*page.attribute("src"), *(link["href"] for link in page.all("link"))]
    assert all(address.startswith("data:") for address in wanted)
    assert set(re.findall(r"https?://[^\s\"'<>\\)]+", page.text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in page.text
    (policy,) = (m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_report_has_all_parts(written: Written) -> None:
    page = Page(written.page)
    for word in (
        "announce",
        "blackhole",
        "the sender fell behind",
        "no route in the FIB within 60 s",
        "Docker 20.10.24",
    ):
        assert word in page.text
    assert "control and data plane differ by 12 ms" in page.text
    assert "sha256:0123456789ab" in page.text
    assert "foreign CPU load during a trial" in page.text
    assert len(page.all("svg")) == len(written.figures) == 9
    (picture,) = page.all("img")
    drawn = base64.b64decode(picture["src"].removeprefix("data:image/svg+xml;base64,")).decode()
    assert drawn == runs.run().topologies["article"]
    data = json.loads(page.scripts[0])
    assert sum(len(group["trials"]) for group in data) == len(TRIALS)
    third = data[0]["trials"][2]
    assert (third["status"], third["reason"]) == ("invalid", "the sender fell behind: 870 of 1000 pps")
    assert [m["at"] for m in third["moments"]] == sorted(m["at"] for m in third["moments"])


def test_tables_and_figures_are_files_too(written: Written) -> None:
    assert all(path.read_text().startswith("<?xml") for path in written.figures)
    assert {path.name for path in written.tables} == {
        *("announce.csv", "blackhole.csv", "thrown-away.csv", "left-out.csv", "flagged.csv", "environment.csv")
    }
    with (written.page.parent / "tables/announce.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (fib,) = (r for r in rows if r["quantity"] == "fib" and r["over"] == "tunnel")
    (bare,) = (r for r in rows if r["quantity"] == "fib" and r["over"] == "wire")
    assert (fib["n"], fib["invalid"], fib["timed_out"], fib["unit"]) == ("6", "1", "1", "s")
    assert float(fib["to_wire"]) == pytest.approx(float(fib["median"]) / float(bare["median"]))
    assert float(fib["to_wire_low"]) < float(fib["to_wire"]) < float(fib["to_wire_high"])
    markdown = written.markdown.read_text()
    for path in written.figures:
        assert f"](figures/{path.name})" in markdown


def test_comparison_has_all_parts(compared: Written) -> None:
    page = Page(compared.page)
    assert "quantities differ beyond the noise" in page.text
    assert "Host or software differ: kernel." in page.text
    assert {path.name for path in compared.tables} == {"comparison.csv", "hosts.csv"}
    assert "**later against synthetic**" in compared.markdown.read_text()


def test_records_are_escaped(tmp_path: Path) -> None:
    evil = '</script><img src=x onerror="alert(1)"> & {{ 7 * 7 }}'

    def spoilt(trial: Trial) -> Trial:
        variant = trial.variant.model_copy(update={"event": evil, "detector": evil})
        return trial.model_copy(update={"variant": variant, "reason": evil, "flags": (evil,)})

    run = runs.run().model_copy(update={"name": evil, "topologies": {evil: f"<svg><script>{evil}</script></svg>"}})
    page = Page(write_report(summary_of(run, map(spoilt, TRIALS[:30])), tmp_path).page)
    assert page.open == []
    assert [image["src"][:5] for image in page.all("img")] == ["data:"]
    assert page.attribute("onerror") == []
    assert len(page.all("script")) == 2
    assert evil in page.scripts[0].encode().decode("unicode_escape")
    assert "49" not in page.text.partition("</title>")[0].rpartition("<title>")[2]


def test_older_report_is_replaced(tmp_path: Path) -> None:
    first = write_report(summary_of(runs.run(), TRIALS), tmp_path)
    second = write_report(summary_of(runs.run(), [t for t in TRIALS if t.variant.event == "announce"]), tmp_path)
    assert {*first.figures} > {*second.figures}
    assert {*(tmp_path / "figures").iterdir()} == {*second.figures}
    assert {*(tmp_path / "tables").iterdir()} == {*second.tables}


def test_run_without_a_valid_trial_has_a_report(tmp_path: Path) -> None:
    written = write_report(summary_of(runs.run(), [t for t in TRIALS if t.status != "valid"]), tmp_path)
    assert "9 of 18 attempts were invalid and thrown away: the sender fell behind (9)." in written.page.read_text()


def test_short_names_are_unique() -> None:
    assert short_names(["SIGUSR1 recovery", "sigusr1-recovery", "SIGUSR1 recovery", "…"]) == {
        "SIGUSR1 recovery": "sigusr1-recovery",
        "sigusr1-recovery": "sigusr1-recovery-2",
        "…": "event",
    }
    assert slug("../../etc/passwd") == "etc-passwd"


def test_markdown_and_csv_escape_cells() -> None:
    table = Table("t", "What *is*", ("name", "#count"), (("a|b\nc", "1"),))
    assert as_markdown(table) == "**What \\*is\\***\n\n| name | count |\n| --- | ---: |\n| a\\|b c | 1 |\n"
    assert list(csv.reader(as_csv([{"x": 'a,"b"\nc', "y": None}]).splitlines(keepends=True))) == [
        ["x", "y"],
        ['a,"b"\nc', ""],
    ]
    assert as_csv([]) == ""


def test_short_table_has_the_quantities_of_the_figures() -> None:
    event = summary_of(runs.run(), TRIALS).events[0]
    short, whole = event_table(event, everything=False), event_table(event)
    assert {row[4] for row in short.rows} == {"FIB", "first packet"}
    assert len(whole.rows) > len(short.rows)
    assert [c.lstrip("#") for c in short.columns[5:13]] == [
        *("n", "min", "median", "p95", "max", "error", "invalid", "timed out")
    ]
