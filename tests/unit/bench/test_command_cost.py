"""The bench of commands: it runs commands that exist, and refuses the figure of a run that failed."""

import sys

import pytest

from lab.bench.commands import COMMANDS, processor_time
from lab.cli import commands as cli
from lab.core.errors import EnvironmentBroken


def test_measured_commands_exist() -> None:
    names = {arguments[0] for arguments in COMMANDS.values() if arguments}
    assert {name for name in names if not name.startswith("--")} <= set(cli.COMMANDS)


def test_processor_time_includes_children() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    assert processor_time([sys.executable, "-c", child], {}, (0,)) >= 0.3


def test_failed_command_gives_no_figure() -> None:
    with pytest.raises(EnvironmentBroken, match="ended with 3"):
        processor_time([sys.executable, "-c", "raise SystemExit(3)"], {}, (0,))
    assert processor_time([sys.executable, "-c", "raise SystemExit(3)"], {}, (0, 3)) > 0
