"""Runs tests in a virtual machine and reports them on the host, through two files of JSON lines.

`queue` names the next test, `reports` has pytest's reports of it. The pytest in the virtual machine collects once and
then runs the tests that `queue` names: its tests share fixtures, and so labs, as on the host.
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
from lab.vm.virtual_machine import RUNNING_EVERY, VirtualMachine, caches

QUEUE = "queue"
REPORTS = "reports"
SHARE = Path("/run/share")
"""The shared directory, as seen in the virtual machine."""
SILENCE = 420.0
"""Seconds without a report after which a test is abandoned; emulation is ten times slower."""


class Ended(EnvironmentBroken):
    """The virtual machine, or the pytest in it, has ended or hangs."""


def append(file: Path, message: dict[str, Any]) -> None:
    """Append one message to a file."""
    with file.open("a") as stream:
        stream.write(json.dumps(message) + "\n")


@dataclass
class Lines:
    """Reads the messages of a file that another process appends to."""

    file: Path
    _read: int = 0
    _rest: bytes = b""

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield the messages added since the last call."""
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
    """A pytest in a virtual machine."""

    machine: VirtualMachine
    project: Path
    _reports: Lines = field(init=False)

    def begin(self, arguments: Sequence[str]) -> None:
        """Start pytest and return: it collects while the host does other work."""
        for name in (QUEUE, REPORTS):
            (self.machine.directory / name).unlink(missing_ok=True)
        (self.machine.directory / QUEUE).touch()
        self._reports = Lines(self.machine.directory / REPORTS)
        # Without -P the project's directory is on the path, and pytest would rewrite the lab's own asserts.
        pytest = [sys.executable, "-P", "-m", "pytest", *arguments, f"--lab-serve={SHARE}"]
        self.machine.begin(script(self.project, pytest))

    def wait_ready(self) -> None:
        """Wait until pytest has collected."""
        message = next(self._messages("collect its tests"))
        if "ready" not in message:
            raise Ended(f"the virtual machine's pytest sent {message} before it was ready")

    def run(self, nodeid: str, then: str | None) -> Iterator[dict[str, Any]]:
        """Run a test and yield its serialised reports; `then` is the node id of the next test."""
        append(self.machine.directory / QUEUE, {"run": nodeid, "then": then})
        for message in self._messages(f"run {nodeid}"):
            if message.get("done") == nodeid:
                return
            if message.get("unknown") == nodeid:
                raise EnvironmentBroken(f"the virtual machine's pytest does not collect {nodeid}; {self._printed()}")
            yield message["report"]

    def end(self) -> None:
        """End pytest; the virtual machine keeps running."""
        append(self.machine.directory / QUEUE, {"end": True})
        for _ in self._messages("end its tests", until_ended=True):
            pass

    def fetch(self, name: str, into: Path | None) -> None:
        """Move a directory of the share, which tests have filled, to the host."""
        shared = self.machine.directory / name
        if shared.is_dir():
            if into is not None:
                shutil.copytree(shared, into, dirs_exist_ok=True)
            shutil.rmtree(shared, ignore_errors=True)

    def _messages(self, what: str, *, until_ended: bool = False) -> Iterator[dict[str, Any]]:
        last_message = checked = time.monotonic()
        while True:
            for message in self._reports.new():
                last_message = time.monotonic()
                yield message
            now = time.monotonic()
            if now - last_message > SILENCE:
                raise Ended(
                    f"the virtual machine did not {what} within {SILENCE:.0f} s; {self.machine.describe_console()}"
                )
            if now - checked > RUNNING_EVERY:
                checked = now
                if not self.machine.running:
                    raise Ended(f"the virtual machine ended before it could {what}; {self.machine.describe_console()}")
                code = self.machine.exit_code()
                if code is not None and until_ended:
                    return
                if code is not None:
                    raise Ended(
                        f"the virtual machine's pytest ended with {code} before it could {what}; {self._printed()}"
                    )
            time.sleep(POLL)

    def _printed(self) -> str:
        try:
            text = (self.machine.directory / "output.log").read_text(errors="replace")
        except OSError:
            text = ""
        lines = [line for line in text.splitlines() if line.strip()]
        return f"it printed: {' | '.join(lines[-3:])}" if lines else "it printed nothing"


def script(project: Path, argv: Sequence[str]) -> str:
    """Return a job that runs a program in the project directory, which has the same path as on the host.

    Only `.lab` is writable; a file in it prevents its removal with the last lab.
    """
    labs = shlex.quote(str(project / HOME))
    inside = shlex.quote(f"cd {shlex.quote(str(project))} && exec {shlex.join(argv)}")
    return f"""\
set -e
if ! mountpoint -q {labs}; then
  mount -t tmpfs lab {labs}
  touch {labs}/.mounted
fi
exec /usr/bin/env -i PATH=/guest/engine:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \\
  LAB_ENGINE=crun XDG_CACHE_HOME={shlex.quote(str(caches()))} PYTHONDONTWRITEBYTECODE=1 sh -c {inside}
"""
