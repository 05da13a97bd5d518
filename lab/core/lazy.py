"""Names that a package exports and imports when they are first used (PEP 562).

A package has them twice: as imports below `if TYPE_CHECKING`, for type checkers and editors, and here by module.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package that exports names, each from the module that `modules` gives."""

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(modules[name]), name)
        vars(import_module(package))[name] = value  # found directly from now on
        return value

    return get
