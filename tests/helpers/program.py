"""The program `lab` as a process of its own."""

import subprocess
from collections.abc import Callable

Program = Callable[..., "subprocess.CompletedProcess[str]"]
PATIENCE = 120
"""Seconds for one command."""
