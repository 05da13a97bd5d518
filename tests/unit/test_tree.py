"""The layout of the tests: what a module may import, and where helpers are."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
HELPERS = TESTS / "helpers"
FOLDERS = sorted(path.parent for path in TESTS.glob("*/__init__.py"))


def modules() -> list[Path]:
    return sorted(path for path in TESTS.rglob("*.py") if "data" not in path.relative_to(TESTS).parts)


def imports(source: str) -> Iterator[str]:
    """Return the dotted names that a module imports: `a.b` for `import a.b` and for `from a import b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def is_of_tests(name: str) -> bool:
    return name == "tests" or name.startswith(("tests.", "."))


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(TESTS)))
def test_modules_import_only_helpers_from_the_tests(module: Path) -> None:
    others = [name for name in imports(module.read_text()) if is_of_tests(name)]
    assert [name for name in others if not name.startswith("tests.helpers.")] == []


@pytest.mark.parametrize(
    "line",
    [
        "from tests.engine.conftest import PAIR",
        "from tests.engine.test_links import names",
        "from tests import conftest",
        "import tests.conftest",
        "from . import conftest",
        "from .conftest import PAIR",
    ],
)
def test_import_of_a_test_module_or_a_conftest_is_found(line: str) -> None:
    found = [name for name in imports(f"def test() -> None:\n    {line}\n") if is_of_tests(name)]
    assert found
    assert not any(name.startswith("tests.helpers.") for name in found)


def test_helpers_are_in_one_place() -> None:
    elsewhere = [
        path.relative_to(TESTS)
        for path in modules()
        if HELPERS not in path.parents and path.name not in ("__init__.py", "conftest.py")
    ]
    assert [path for path in elsewhere if not path.name.startswith("test_")] == []
    assert list(HELPERS.rglob("test_*.py")) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_map_names_every_folder(folder: Path) -> None:
    assert f"| `{folder.name}/` |" in (TESTS / "README.md").read_text()


@pytest.mark.parametrize(
    "module",
    [path for path in modules() if TESTS / "unit" in path.parents],
    ids=lambda path: str(path.relative_to(TESTS)),
)
def test_unit_tests_ask_for_neither_root_nor_an_engine(module: Path) -> None:
    source = module.read_text()
    assert not {"tests.helpers.sandbox.Sandbox", "lab.engine.open_engine"} & set(imports(source))
    if module != Path(__file__):
        assert "pytest.mark.docker" not in source
