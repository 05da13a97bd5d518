"""Packages that import what they export when it is used: type checkers and Python see the same names."""

import ast
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import lab

ROOT = Path(lab.__file__).parent
PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT.parent).parts)
    for path in ROOT.rglob("__init__.py")
    if "lazy_exports(" in path.read_text()
)


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(request.param)


def exports(package: ModuleType) -> dict[str, str]:
    """Return the module of each name that is exported lazily."""
    tree = ast.parse(Path(str(package.__file__)).read_text())
    (call,) = (n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "lazy_exports")
    modules: dict[str, tuple[str, ...]] = ast.literal_eval(call.args[1])
    return {name: module for module, names in modules.items() for name in names}


def imports_for_types(package: ModuleType) -> dict[str, str]:
    """Return the module of each name that is imported for type checkers."""
    tree = ast.parse(Path(str(package.__file__)).read_text())
    found: dict[str, str] = defaultdict(str)
    for block in tree.body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                if isinstance(node, ast.ImportFrom):
                    found |= {alias.name: str(node.module) for alias in node.names}
    return found


def test_names_and_modules_are_those_of_the_type_checker(package: ModuleType) -> None:
    lazy = {name: module for name, module in exports(package).items() if name != "__version__"}
    assert lazy == imports_for_types(package)


def test_every_exported_name_is_found(package: ModuleType) -> None:
    assert exports(package).keys() <= set(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_other_name_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nonsense'"):
        _ = package.nonsense
