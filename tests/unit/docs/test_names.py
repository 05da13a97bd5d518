"""Tests, files and links that README and docs name exist, and their examples are valid."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

from lab.catalogue import load
from lab.check.reader import parse_checks
from lab.measure.trials.plan import Plan
from tests.helpers import pages

ROOT = pages.ROOT
PAGES = pages.pages()
_TEST = re.compile(r"\btest_\w+\b(?!\.py)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"(?:lab|tests|images|docs|topologies|\.ci|\.github)/[\w./*-]*")
_GENERATED = {"artefacts/", "measurements/", "site"}


def functions() -> set[str]:
    """Return the names of all test functions."""
    found: set[str] = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        found |= {n.name for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef)}
    return {name for name in found if name.startswith("test_")}


def test_tests_that_are_named_exist() -> None:
    known = functions()
    for page in PAGES:
        text = page.read_text()
        named = {name for code in pages.inline_code(text) for name in _TEST.findall(code)}
        named |= {
            name
            for block in pages.blocks_of(pages.name_of(page), text)
            if block.language == "claims"
            for name in block.text.split()
        }
        own = {name for block in pages.blocks_of("", text) for name in re.findall(r"def (test_\w+)", block.text)}
        assert named - known - own - evidence(page) == set(), pages.name_of(page)


def evidence(page: Path) -> set[str]:
    """Return what the table of claims has in its evidence: names of folders, which begin as a test's does."""
    return {name for name in _TEST.findall(page.read_text()) if re.search(r"-\d", name)}


@pytest.mark.parametrize("page", PAGES, ids=pages.name_of)
def test_paths_that_are_named_exist(page: Path) -> None:
    for code in pages.inline_code(page.read_text()):
        if _PATH.fullmatch(code):
            assert list(ROOT.glob(code.rstrip("/"))), f"{code} is not in this project"


@pytest.mark.parametrize("page", PAGES, ids=pages.name_of)
def test_links_lead_to_files(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        if "://" not in target and not target.startswith("#"):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_readme_counts_the_claims() -> None:
    claims = {finding["test"] for finding in json.loads((ROOT / "docs" / "claims.json").read_text())}
    assert f"[{len(claims)} claims]" in (ROOT / "README.md").read_text()


def test_every_claim_has_its_theme() -> None:
    claims = {finding["test"] for finding in json.loads((ROOT / "docs" / "claims.json").read_text())}
    themes = [name for block in pages.blocks() if block.language == "claims" for name in block.text.split()]
    assert sorted(themes) == sorted(claims), "docs/findings: list each claim on the page of its theme"


def examples(language: str) -> list[pages.Block]:
    return [block for block in pages.blocks() if block.language == language]


@pytest.mark.parametrize("block", examples("yaml"), ids=str)
def test_yaml_examples_are_valid(block: pages.Block, tmp_path: Path) -> None:
    data = yaml.safe_load(block.text)
    if "topology" in data:
        file = tmp_path / "example.clab.yml"
        file.write_text(block.text)
        assert load(file).nodes
    elif data.keys() & {"expect", "steps"}:
        assert parse_checks(block.text, tmp_path / "example.checks.yml", load("article")).steps
    elif "jobs" in data:  # a workflow of GitHub: test_action.py, test_shard_workflow.py
        assert "actions/check@" in block.text or "lab measure" in block.text
    else:
        assert Plan.model_validate({"name": "example", **data}).trials


@pytest.mark.parametrize("block", examples("python"), ids=str)
def test_python_examples_are_tests(block: pages.Block) -> None:
    functions = [node for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.FunctionDef)]
    assert [f.name for f in functions if f.name.startswith("test_")], (
        "tests/docs/test_commands.py runs examples as tests"
    )
    assert all("lab" in {a.arg for a in f.args.args} for f in functions)
    assert "topology(" in block.text
