"""The part that runs in a worker of Dask: it hands orders to a process of its own, and messages to the caller.

The labs are that process's, so that they are taken down however the worker ends, and a job has a main thread.
"""

import asyncio
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from distributed import Worker, get_worker
from distributed.core import Status

from lab.cluster.job import JobFailed, Message, Work
from lab.cluster.package import environment_of

_TAKEN_DOWN = 90.0
"""Seconds in which a process has to take its labs down; the next one on this machine removes what is left."""
_LOOK = 0.5
"""Seconds between two looks at whether the job is still wanted."""
_ENDING = {Status.closing, Status.closed, Status.closing_gracefully, Status.failed}


@dataclass(frozen=True)
class Execution:
    """One attempt to do a job, by one worker."""

    identity: str
    topic: str
    """The topic of Dask's events on which the caller receives messages as they come."""
    order: Message
    patience: float


class _Child:
    def __init__(self, caller: str, work: Work) -> None:
        self.caller = caller
        self.facts: Message = {}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.cluster.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment_of(work.package),
            start_new_session=True,  # Ctrl-C is the caller's to tell
        )
        self._lines: queue.Queue[Message | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.write(asdict(work))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def write(self, line: Message) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def next_line(self, patience: float) -> Message:
        """Return the next line; raises `JobFailed` if there is none, or the job is not wanted any more."""
        worker = get_worker()
        key = worker.get_current_task()
        deadline = time.monotonic() + patience
        while True:
            try:
                line = self._lines.get(timeout=_LOOK)
            except queue.Empty:
                if time.monotonic() > deadline:
                    self.kill()
                    raise JobFailed("EnvironmentBroken", f"no message for {patience:.0f} s") from None
                if worker.status in _ENDING or _is_cancelled(worker, key):
                    self.close()
                    raise JobFailed("EnvironmentBroken", "the job was cancelled") from None
                continue
            if line is None:
                raise JobFailed("EnvironmentBroken", f"the process of the labs ended: {self._last_words()}")
            if error := line.get("error"):
                self.close()
                raise JobFailed(error["kind"], error["text"])
            return line

    def close(self) -> None:
        """Let the process take its labs down and end."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(_TAKEN_DOWN)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit code {code}"


_children: dict[str, _Child] = {}
"""The process of each worker; several workers may be in this process of Dask."""
_over: set[str] = set()
"""Callers that have ended: a task of theirs that begins late starts no process."""
_lock = threading.Lock()


def start(caller: str, work: Work, patience: float) -> Message:
    """Start the process of a caller's work, and return the facts of this machine."""
    return _child(caller, work, patience).facts


def run(caller: str, work: Work, execution: Execution) -> list[Message]:
    """Do a job; return all its messages, each of which was sent as it came too."""
    child = _child(caller, work, execution.patience)
    child.write(execution.order)
    messages: list[Message] = []
    while "done" not in (line := child.next_line(execution.patience)):
        worker = get_worker()
        event = {"execution": execution.identity, "index": len(messages), "message": line["message"]}
        worker.log_event(execution.topic, event)
        messages.append(line["message"])
    return messages


async def end(caller: str, dask_worker: Any) -> None:
    """Take down what this worker has for a caller."""
    await asyncio.to_thread(_end, caller, dask_worker.address)


def _end(caller: str, address: str) -> None:
    with _lock:
        _over.add(caller)
        child = _children.get(address)
        if child is None or child.caller != caller:
            return
        del _children[address]
    child.close()


def _child(caller: str, work: Work, patience: float) -> _Child:
    """Return the process of a caller's work: the one that runs, or a new one."""
    address = get_worker().address
    child = _children.get(address)
    if child is not None and (child.caller != caller or not child.is_alive):
        child.close()
        child = None
    if child is None:
        with _lock:
            if caller in _over:
                raise JobFailed("EnvironmentBroken", "the caller has ended")
            child = _children[address] = _Child(caller, work)
        child.facts = child.next_line(patience)["facts"]
    return child


def _is_cancelled(worker: Worker, key: str) -> bool:
    """Return whether the scheduler does not want a running task any more: its caller is gone, or has cancelled it."""
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled"
