"""The package's own names: what `import lab` offers, and that it imports little."""

import inspect
import subprocess
import sys

import pytest

import lab

EXPORTED = {
    *("Lab", "load", "__version__"),
    *("LabError", "CommandFailed", "EnvironmentBroken", "ExpectationFailed", "InputError", "NotSupported"),
}


def test_all_is_exact_and_sorted() -> None:
    assert set(lab.__all__) == EXPORTED
    assert lab.__all__ == sorted(lab.__all__)


def test_dir_has_all_exported_names() -> None:
    assert set(dir(lab)) >= EXPORTED


@pytest.mark.parametrize("name", sorted(EXPORTED - {"__version__"}))
def test_exported_name_exists_and_has_its_own_docstring(name: str) -> None:
    exported = getattr(lab, name)
    assert exported.__name__ == name
    assert inspect.cleandoc(exported.__doc__ or "")


def test_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert lab.__version__ == version("openvpn-routing-lab")


def test_other_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lab' has no attribute 'nonsense'"):
        _ = lab.nonsense  # type: ignore[attr-defined]


def test_import_of_the_package_imports_no_room() -> None:
    program = "import lab, sys; print(*sorted(m for m in sys.modules if m.partition('.')[0] in ('lab', 'pydantic')))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["lab", "lab.core", "lab.core.errors", "lab.core.lazy"]
