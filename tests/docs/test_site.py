"""The documentation site builds without a network and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.helpers.pages import ROOT

pytest.importorskip("mkdocs")
_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data", "use": "href"}
_LINKED = {"stylesheet", "preload", "preconnect", "dns-prefetch", "modulepreload", "icon", "manifest"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built in a network namespace that has no way out where this is root."""
    directory = tmp_path_factory.mktemp("site")
    alone = ["unshare", "--net"] if os.geteuid() == 0 else []
    argv = [*alone, sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(directory)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr + result.stdout
    return directory


class _Loads(HTMLParser):
    """Collects what a browser loads for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address of what this element loads."""
        values = dict(attrs)
        if tag == "link" and set((values.get("rel") or "").split()) & _LINKED:
            self.found.append(values.get("href") or "")
        elif tag in _LOADED:
            self.found.append(values.get(_LOADED[tag]) or "")


def loads(html: str) -> list[str]:
    parser = _Loads()
    parser.feed(html)
    return [address for address in parser.found if re.match(r"(https?:)?//", address)]


def test_loads_from_elsewhere_are_found() -> None:
    html = (
        '<script src="https://cdn/x.js"></script><link rel="stylesheet" href="//fonts/x.css"><a href="https://a">b</a>'
    )
    assert loads(html) == ["https://cdn/x.js", "//fonts/x.css"]
    assert loads('<img src="pictures/a.svg"><link rel="canonical" href="https://a">') == []


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        html = page.read_text()
        assert loads(html) == [], page.name
        assert 'class="mermaid"' not in html, "the theme would fetch a script to draw it"
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//", sheet.read_text()) == [], sheet.name


def test_pictures_load_nothing_and_are_small() -> None:
    for picture in (ROOT / "docs" / "pictures").glob("*.svg"):
        text = picture.read_text()
        assert len(text) < 200_000, picture.name
        assert re.findall(r"url\(['\"]?[a-z]+:|href=\"[a-z]+:|@import|<script", text) == [], picture.name


def test_reference_and_findings_are_filled_in(site: Path) -> None:
    for page, word in {
        "reference/cli.html": "lab announce",
        "reference/api.html": "free_prefix",
        "reference/topology.html": "recursion-filter",
        "findings/dco.html": "does not hold",
        "index.html": "A test of your own",
    }.items():
        assert word in re.sub(r"<[^>]+>", "", (site / page).read_text()), page
