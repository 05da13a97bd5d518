"""Hooks of mkdocs for this site: pages from files at the top, a reference from the code, tables of claims.

- README.md is the front page; CONTRIBUTING.md, CHANGELOG.md and SECURITY.md are pages as well.
- The pages below `reference/` that have no file are written by `reference.py`.
- A fenced block `claims` lists tests, one per line, and becomes the table of their claims, from `claims.json`.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
import reference

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
"""Files at the top, and the pages that they are."""
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_CLAIMS = re.compile(r"^```claims\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that have no file below `docs`."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=top_page((ROOT / source).read_text())))
    for page, text in reference.pages().items():
        files.append(File.generated(config, f"reference/{page}", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write the tables of claims, and the list of the generated pages."""
    if page.file.src_uri == "reference/index.md":
        titles = {name: text.splitlines()[0].lstrip("# ") for name, text in reference.pages().items()}
        markdown += "\n" + "".join(f"- [{title}]({name})\n" for name, title in titles.items())
    return with_claims(markdown)


def top_page(text: str) -> str:
    """Return a file at the top as a page: its links lead to pages, and a link to any other file becomes text."""

    def moved(found: re.Match[str]) -> str:
        image, words, target = found.groups()
        file, hash_, anchor = target.partition("#")
        if "://" in target or not file:
            return found[0]
        if file in PAGES:
            return f"[{words}]({PAGES[file]}{hash_}{anchor})"
        if file.startswith("docs/"):
            return f"{image}[{words}]({target.removeprefix('docs/')})"
        return words

    return _LINK.sub(moved, text)


def with_claims(markdown: str) -> str:
    """Replace each block that lists tests by the table of their claims."""
    return _CLAIMS.sub(lambda found: claims_table(found[1].split()), markdown)


def claims_table(tests: list[str]) -> str:
    """Return the claims of some tests as a table; raises `KeyError` for a test without a claim."""
    rows = {row["test"]: row for row in claims()}
    lines = ["| claim, and its test | verdict | condition, or what is true | OpenVPN |", "| --- | --- | --- | --- |"]
    for test in tests:
        row = rows[test]
        cells = (f"{row['sentence']}<br>[`{test}`](claims.md#{test})", row["verdict"], row["condition"], row["openvpn"])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def claims() -> list[dict[str, str]]:
    """Return the claims of `claims.json`, one row each; versions of OpenVPN that agree share it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads((ROOT / "docs" / "claims.json").read_text()):
        found.setdefault(finding["test"], []).append(finding)
    return [_together(sorted(group, key=lambda finding: finding["openvpn"])) for group in found.values()]


def _together(group: list[dict[str, Any]]) -> dict[str, str]:
    agreed = len({(finding["verdict"], finding["condition"]) for finding in group}) == 1

    def said(key: str) -> str:
        if agreed:
            return str(group[0][key])
        return "; ".join(f"{finding['openvpn']}: {finding[key]}" for finding in group if finding[key])

    versions = ", ".join(dict.fromkeys(finding["openvpn"] for finding in group))
    return {
        "test": group[0]["test"],
        "sentence": group[0]["sentence"],
        "verdict": said("verdict"),
        "condition": said("condition"),
        "openvpn": versions,
    }
