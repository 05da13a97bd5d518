"""An installation without numpy and matplotlib: only commands that need them fail, and name the extra to install."""

import subprocess
import sys
from pathlib import Path

import pytest

_BARE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numpy", "matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""

_EVERYTHING = """
import importlib, pkgutil
import lab

NEED = ("lab.report", "lab.measure.statistics", "lab.cli.__main__")
for module in pkgutil.walk_packages(lab.__path__, "lab.", onerror=lambda name: None):
    if not module.name.startswith(NEED):
        importlib.import_module(module.name)
"""


def bare(code: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python code in an interpreter that finds neither numpy nor matplotlib."""
    return subprocess.run([sys.executable, "-c", _BARE + code, *arguments], capture_output=True, text=True, cwd=cwd)


def bare_lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    return bare("from lab.cli import main\nmain()", *arguments)


def test_all_other_modules_import_without_extras() -> None:
    done = bare(_EVERYTHING)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("measure", "quick", "--dry-run"), ("validate", "article")])
def test_other_commands_run_without_extras(arguments: tuple[str, ...]) -> None:
    done = bare_lab(*arguments)
    assert done.returncode == 0, done.stderr


def test_report_names_the_extra_that_it_lacks(tmp_path: Path) -> None:
    done = bare_lab("report", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "lab: matplotlib is not installed: run `pip install openvpn-routing-lab[report]`\n"


def test_statistics_name_the_extra_that_they_lack() -> None:
    done = bare("import lab.measure.statistics")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "lab.core.errors.EnvironmentBroken: numpy is not installed: run `pip install openvpn-routing-lab[measure]`"
    )


def test_plugin_runs_tests_without_extras(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_own(): pass\n")
    done = bare("import pytest\nsys.exit(pytest.main(['-q', '-p', 'no:cacheprovider']))", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_broken_installation_of_an_extra_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("import a_module_that_is_nowhere\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lab.measure.statistics"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'a_module_that_is_nowhere'"
