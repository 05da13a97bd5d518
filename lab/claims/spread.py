"""`lab claims` on a cluster: the tests of a file on one machine, since they share labs."""

import base64
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cluster.job import Job, Message, Send, Work
from lab.cluster.machine import machine_facts
from lab.cluster.ship import Ship
from lab.core.errors import EnvironmentBroken, InputError
from lab.core.progress import Say
from lab.engine import open_engine
from lab.runtime.owner import sweep

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = 3600.0
"""Seconds for the tests of one file."""
_FAILED, _NO_TESTS = 1, 5
"""Exit codes of pytest."""


def run_on_cluster(
    tests: Path,
    options: Sequence[str],
    directory: Path,
    client: "Client",
    say: Say,
    *,
    ship: Ship = Ship.CHECK,
) -> "subprocess.CompletedProcess[str]":
    """Run the files of tests on the workers of a cluster, and write what `pytest --lab-claims` would.

    Each machine needs the same tests in the directory in which its worker runs. Returns the exit code of pytest as one
    run would have it.
    """
    from lab.claims.record import as_json, as_markdown, from_json
    from lab.cluster.gather import gather

    jobs = [Job(file, {"file": file}, patience=_PATIENCE) for file in _files(tests, options)]
    work = Work("lab.claims.spread:Files", {"options": list(options)})
    cargo = ship.cargo(_images(tests, options), say)
    found = gather(client, jobs, work, say, cargo=cargo)
    results = [message for job in jobs for message in found[job.name]]
    findings = [finding for result in results if result["claims"] for finding in from_json(result["claims"])]
    directory.mkdir(parents=True, exist_ok=True)
    for result in results:
        for name, content in result["evidence"].items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(base64.b64decode(content))
    if findings:
        (directory / "claims.json").write_text(as_json(findings))
        (directory / "claims.md").write_text(as_markdown(findings))
    codes = {result["code"] for result in results} - {0}
    worst = max(codes - {_FAILED}, default=_FAILED if codes else 0) if results else _NO_TESTS
    said = next((result["said"] for result in results if result["code"] == worst), "")
    return subprocess.CompletedProcess([], worst, "", said)


def _files(tests: Path, options: Sequence[str]) -> list[str]:
    """Return the files that have a test of the run."""
    counts = [line.rpartition(": ") for line in _collected(tests, options)]
    return [file for file, _, count in counts if count.isdigit()]


def _collected(tests: Path, options: Sequence[str], *more: str) -> list[str]:
    """Return what pytest prints of the tests of a run."""
    argv = [sys.executable, "-m", "pytest", str(tests), *options, *more, "--collect-only", "-qq"]
    listed = subprocess.run(argv, capture_output=True, text=True)
    if listed.returncode not in (0, _NO_TESTS):
        words = (listed.stderr.strip() or listed.stdout.strip()).splitlines()
        raise EnvironmentBroken(f"pytest cannot collect {tests}: {words[-1] if words else 'no output'}")
    return listed.stdout.splitlines()


def _images(tests: Path, options: Sequence[str]) -> Iterator[str]:
    """Yield the images of the labs of a run's tests, see `lab.testing.images`."""
    for line in _collected(tests, options, "-p", "lab.testing.images"):
        kind, _, image = line.partition(" ")
        if kind == "image":
            yield image


class Files:
    """Runs files of tests on this machine."""

    def __init__(self, context: Message) -> None:
        self._options: list[str] = context["options"]
        self._engine = open_engine()
        sweep(self._engine)

    def facts(self) -> Message:
        """Return this machine's facts."""
        return dict(machine_facts(self._engine))

    def do(self, order: Message, send: Send) -> None:
        """Run the tests of a file; send the claims, the evidence and pytest's exit code."""
        if not Path(order["file"]).is_file():
            raise InputError(f"{order['file']} does not exist on this worker: start it in a checkout of the tests")
        with tempfile.TemporaryDirectory(prefix="lab-claims-") as scratch:
            argv = [sys.executable, "-m", "pytest", order["file"], *self._options, f"--lab-claims={scratch}"]
            # Ctrl-C goes to this process alone; pytest takes its labs down at SIGINT.
            with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
                try:
                    output, _ = run.communicate()
                except KeyboardInterrupt:
                    run.send_signal(2)
                    run.communicate()
                    raise
            claims = Path(scratch, "claims.json")
            files = [file for file in Path(scratch).rglob("*") if file.is_file() and file.parent != Path(scratch)]
            send(
                {
                    "code": run.returncode,
                    "said": (output.strip().splitlines() or [""])[-1],
                    "claims": claims.read_text() if claims.exists() else "",
                    "evidence": {
                        str(file.relative_to(scratch)): base64.b64encode(file.read_bytes()).decode() for file in files
                    },
                }
            )

    def close(self) -> None:
        """Leave nothing: pytest takes its labs down."""
