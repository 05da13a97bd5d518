"""The process that enters nodes: what it needs of Python is loaded before."""

import subprocess
import sys

from lab.engine.crun import enter

ENTERED = f"""
import runpy, sys
module = runpy.run_path({enter.__file__!r}, run_name="enter")
# Inside of a node there is no Python to import from.
sys.path.clear(); sys.path_importer_cache.clear(); sys.meta_path.clear()
module["os"].execvpe("true", ["true"], {{"PATH": "/usr/bin:/bin"}})
"""


def test_command_starts_without_pythons_library() -> None:
    done = subprocess.run([sys.executable, "-I", "-S", "-c", ENTERED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
