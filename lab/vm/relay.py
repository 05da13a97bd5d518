"""Tests that run in a machine while they are reported here: two files of JSON lines, one for each direction.

`queue` says which test is next, `reports` what pytest reports of it. The pytest in the machine collects once and then
serves: its fixtures, and so its labs, are shared by the tests as they would be here.
"""

import json
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.core.errors import EnvironmentBroken
from lab.core.expect import POLL
from lab.core.home import HOME
from lab.vm.machine import ASKED, Machine, caches

QUEUE = "queue"
REPORTS = "reports"
SHARE = Path("/run/share")
"""The shared directory as the machine's programs see it."""
SILENCE = 420.0
"""Seconds without a report after which a test in the machine is given up; emulation is ten times slower."""


class Ended(EnvironmentBroken):
    """The machine, or the pytest in it, is no more."""


def append(file: Path, message: dict[str, Any]) -> None:
    """Write one message."""
    with file.open("a") as stream:
        stream.write(json.dumps(message) + "\n")


@dataclass
class Lines:
    """The messages of a file that another process appends to."""

    file: Path
    _read: int = 0
    _rest: bytes = b""

    def new(self) -> Iterator[dict[str, Any]]:
        """Those that have come since the last call."""
        try:
            with self.file.open("rb") as stream:
                stream.seek(self._read)
                data = stream.read()
        except FileNotFoundError:
            return
        self._read += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        yield from map(json.loads, whole)


@dataclass
class Relay:
    """One pytest in one machine."""

    machine: Machine
    project: Path
    _reports: Lines = field(init=False)

    def begin(self, arguments: Sequence[str]) -> None:
        """Start pytest there; it collects while the machine's engine starts, and while other things go on here."""
        for name in (QUEUE, REPORTS):
            (self.machine.directory / name).unlink(missing_ok=True)
        (self.machine.directory / QUEUE).touch()
        self._reports = Lines(self.machine.directory / REPORTS)
        # With the project's directory on the path (no -P) pytest would take the lab itself for tests, and rewrite it.
        pytest = [sys.executable, "-P", "-m", "pytest", *arguments, f"--lab-serve={SHARE}"]
        self.machine.begin(script(self.project, pytest))

    def wait_ready(self) -> None:
        """Wait until it has collected and its engine answers: from then on it waits for what to run."""
        message = next(self._messages("collect its tests"))
        if "ready" not in message:
            raise Ended(f"the machine's pytest began with {message}")
        self.machine.wait_ready()

    def run(self, nodeid: str, then: str | None) -> Iterator[dict[str, Any]]:
        """Run one test and yield its reports, as pytest serialises them; `then` is the one after it."""
        append(self.machine.directory / QUEUE, {"run": nodeid, "then": then})
        for message in self._messages(f"run {nodeid}"):
            if message.get("done") == nodeid:
                return
            if message.get("unknown") == nodeid:
                raise EnvironmentBroken(f"the machine's pytest does not collect {nodeid}; {self._said()}")
            yield message["report"]

    def end(self) -> None:
        """Have pytest end, where the machine goes on."""
        append(self.machine.directory / QUEUE, {"end": True})
        for _ in self._messages("end its tests", until_ended=True):
            pass

    def fetch(self, name: str, into: Path | None) -> None:
        """Take over what tests have left in a directory of the share."""
        there = self.machine.directory / name
        if there.is_dir():
            if into is not None:
                shutil.copytree(there, into, dirs_exist_ok=True)
            shutil.rmtree(there, ignore_errors=True)

    def _messages(self, what: str, *, until_ended: bool = False) -> Iterator[dict[str, Any]]:
        heard = looked = time.monotonic()
        while True:
            for message in self._reports.new():
                heard = time.monotonic()
                yield message
            now = time.monotonic()
            if now - heard > SILENCE:
                raise Ended(f"the machine did not {what} within {SILENCE:.0f} s; {self.machine.last_words()}")
            if now - looked > ASKED:
                looked = now
                if not self.machine.running:
                    raise Ended(f"the machine ended before it could {what}; {self.machine.last_words()}")
                code = self.machine.ended()
                if code is not None and until_ended:
                    return
                if code is not None:
                    raise Ended(f"the machine's pytest ended with {code} before it could {what}; {self._said()}")
            time.sleep(POLL)

    def _said(self) -> str:
        try:
            text = (self.machine.directory / "output.log").read_text(errors="replace")
        except OSError:
            text = ""
        lines = [line for line in text.splitlines() if line.strip()]
        return f"it said: {' | '.join(lines[-3:])}" if lines else "it said nothing"


def script(project: Path, argv: Sequence[str]) -> str:
    """A job that runs a program in the project, seen at its own place by programs and by the engine alike.

    Only the directory of labs can be written to there; a file in it keeps the last lab from removing it.
    """
    here = shlex.quote(str(project))
    labs = shlex.quote(str(project / HOME))
    command = shlex.join(argv)
    inside = shlex.quote(f"cd {here} && exec {command}")
    return f"""\
set -e
if ! mountpoint -q {labs}; then
  mkdir -p {here}
  mountpoint -q {here} || mount --bind /host{here} {here}
  mount -t tmpfs lab {labs}
  touch {labs}/.mounted
  mountpoint -q /host{labs} || mount --bind {labs} /host{labs}
fi
exec chroot /host /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \\
  XDG_CACHE_HOME={shlex.quote(str(caches()))} PYTHONDONTWRITEBYTECODE=1 sh -c {inside}
"""
