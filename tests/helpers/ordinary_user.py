"""The program `lab` as an ordinary user runs it, with a runtime directory of the test's own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.core.process import is_alive
from tests.helpers.program import PATIENCE


@dataclass(frozen=True)
class User:
    """A user, with a working directory and a runtime directory of the test's own."""

    directory: Path
    runtime: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the user's commands."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LAB_")}
        return kept | {"XDG_RUNTIME_DIR": str(self.runtime), "LAB_ENGINE": "crun"}

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        """Start a command of `lab` without waiting for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "lab.cli", *argv],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def running(self, *argv: str) -> "Iterator[subprocess.Popen[str]]":
        """Run a command of `lab` for a while, and end it."""
        with self.start(*argv) as process:
            try:
                yield process
            finally:
                process.terminate()
                process.communicate(timeout=PATIENCE)

    def lab(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of `lab`."""
        with self.start(*argv) as process:
            out, error = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(argv, process.returncode, out, error)

    def done(self, *argv: str) -> str:
        """Run a command of `lab` that has to succeed; return its output."""
        result = self.lab(*argv)
        assert result.returncode == 0, result.stderr
        return result.stdout

    @property
    def holder(self) -> str:
        """The identity of the process that keeps the namespaces; empty if none does."""
        try:
            identity = (self.runtime / "openvpn-routing-lab" / "holder").read_text().partition(" ")[0]
        except FileNotFoundError:
            return ""
        return identity if is_alive(identity) else ""

    @property
    def left(self) -> list[str]:
        """Leftovers of labs: nodes, directories, and processes that know a node's directory."""
        nodes = self.runtime / "openvpn-routing-lab" / "nodes"
        found = [str(path) for path in (*nodes.glob("*"), *self.directory.glob(".lab/*"))]
        return [*found, *map(str, processes_of(self.runtime))]


def processes_of(runtime: Path) -> Iterator[int]:
    """Yield the processes of this user that know a node's directory: its supervisor, or what runs in it."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                place = (entry / "cwd").readlink()
            except OSError:
                continue
            if place.is_relative_to(runtime):
                yield int(entry.name)
