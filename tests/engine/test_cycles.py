"""Nothing is left after cycles of up and down of which some are killed; `tests/helpers/cycles.py` runs a thousand."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from lab.engine import Engine
from tests.helpers.cycles import Cycles

pytestmark = pytest.mark.docker


def test_cycles_leave_no_trace(engine: Engine, tmp_path: Path) -> None:
    cycles = Cycles(engine.name, random.Random(7), tmp_path)
    assert cycles.run(6) == []
    assert cycles.killed > 0


def test_leftovers_are_found(tmp_path: Path) -> None:
    cycles = Cycles("crun", random.Random(7), tmp_path)
    assert list(cycles.left()) == []
    with subprocess.Popen(
        [sys.executable, "-c", "input()", f"clab-{cycles.name}-one"], stdin=subprocess.PIPE
    ) as process:
        (found,) = cycles.left()
        assert str(process.pid) in found
    (tmp_path / ".lab" / cycles.name).mkdir(parents=True)
    assert list(cycles.left()) == [str(tmp_path / ".lab" / cycles.name)]
