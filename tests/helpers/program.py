"""The program `lab` as a separate process."""

import subprocess
from collections.abc import Callable

Program = Callable[..., "subprocess.CompletedProcess[str]"]
PATIENCE = 300
"""Seconds to wait for one command."""
