"""The generated reference has every command, option, key and marker."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from lab.check.kinds import ACTIONS, EXPECTATIONS
from lab.fault.kinds import KINDS
from lab.topology.intent import LinkIntent, RouterIntent, TunnelIntent
from lab.tunnel import modes
from tests.helpers.pages import ROOT


def module_of(name: str) -> ModuleType:
    """Load a module from the folder docs/hooks."""
    spec = spec_from_file_location(name, ROOT / "docs" / "hooks" / f"{name}.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The module that writes the pages."""
    return module_of("reference")


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """The hooks of mkdocs."""
    pytest.importorskip("mkdocs")
    return module_of("site_hooks")


@pytest.fixture(scope="module")
def written(reference: ModuleType) -> dict[str, str]:
    """The pages."""
    pages: dict[str, str] = reference.pages()
    return pages


def options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def run(*argv: str) -> str:
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_commands_have_the_options_of_their_help(written: dict[str, str]) -> None:
    sections = re.split(r"^### `lab ", written["cli.md"], flags=re.MULTILINE)[1:]
    names = [section.partition("`")[0] for section in sections]
    assert {"up", "status", "fault apply", "vm run", "report"} <= set(names)
    by_name = dict(zip(names, sections, strict=True))
    for name in ("up", "announce", "fault apply", "measure"):
        shown = options(run("-m", "lab.cli", *name.split(), "--help")) - {"--help"}
        assert shown <= options(by_name[name]), name


def test_plugin_page_has_what_pytest_prints(written: dict[str, str]) -> None:
    page = written["pytest.md"]
    told = {option for option in options(run("-m", "pytest", "--help")) if option.startswith("--lab-")}
    assert told - {"--lab-matrix"} <= options(page)  # this one is of this project's own conftest.py
    assert options(page) <= told
    for marker in ("topology(", "claims(", "needs_kernel("):
        assert f"`{marker}" in page
    for fixture in ("lab", "claim"):
        assert f"| `{fixture}` | " in page


def keys() -> Iterator[tuple[str, str]]:
    for model in (RouterIntent, TunnelIntent, LinkIntent):
        for name, info in model.model_fields.items():
            yield "topology.md", info.alias or name.replace("_", "-")
    for mode in modes().values():
        for name, info in mode.options.model_fields.items():  # type: ignore[attr-defined]
            yield "modes.md", info.alias or name.replace("_", "-")
    for kind in KINDS.values():
        for name in kind.model_fields:
            yield "faults.md", name.replace("_", "-")
    for keyed in (*EXPECTATIONS.values(), *ACTIONS.values()):
        for name, info in keyed.model_fields.items():
            yield "checks.md", info.alias or name.replace("_", "-")


def test_every_key_has_a_row(written: dict[str, str]) -> None:
    for page, key in keys():
        assert f"| `{key}` | " in written[page], f"{key} is not in {page}"


@pytest.mark.parametrize(
    "page", ["topology.md", "modes.md", "plan.md", "faults.md", "checks.md", "cli.md", "pytest.md"]
)
def test_every_row_has_a_meaning(page: str, written: dict[str, str]) -> None:
    rows = [row for row in written[page].splitlines() if row.startswith("| `")]
    assert len(rows) > 10
    assert [row for row in rows if row.endswith("|  |")] == [], "describe these where they are defined"


def test_values_are_spelt_as_in_a_file(reference: ModuleType) -> None:
    assert reference.spelling(int | None) == "number"
    assert reference.spelling(tuple[int, int]) == "list of 2: number, number"
    assert reference.spelling(tuple[str, ...]) == "list of text"
    assert reference.spelling(Path | bool) == "Path or `true`, `false`"


def test_claims_of_a_page_become_a_table(hooks: ModuleType) -> None:
    test = hooks.claims()[0]["test"]
    table = hooks.with_claims(f"before\n\n```claims\n{test}\n```\nafter\n")
    assert table.startswith("before\n\n| claim, and its test |")
    assert f"<br>[`{test}`](claims.md#{test}) | " in table
    with pytest.raises(KeyError):
        hooks.with_claims("```claims\ntest_that_is_not_there\n```\n")


def test_front_page_links_to_pages(hooks: ModuleType) -> None:
    text = "[a](docs/b.md#c) ![d](docs/e.svg) [f](LICENSE) [g](SECURITY.md) [h](https://i)"
    assert hooks.top_page(text) == "[a](b.md#c) ![d](e.svg) f [g](security.md) [h](https://i)"
