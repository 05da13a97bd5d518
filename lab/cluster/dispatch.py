"""Deals jobs to the workers of a cluster, one at a time to each, until all are done.

The caller decides which worker gets a job, since a worker has to be admitted first, and its next job is one of the
group that it has prepared. Dask carries jobs and messages, and tells which workers there are.
"""

import concurrent.futures
import contextlib
import queue
import threading
import uuid
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from distributed import Client, Future

from lab.cluster import worker
from lab.cluster.connect import workers_of
from lab.cluster.delivery import NOTHING, Cargo, Delivery
from lab.cluster.job import Job, JobFailed, Message, Work
from lab.cluster.resource import BLOCK
from lab.core import errors
from lab.core.errors import EnvironmentBroken, LabError
from lab.core.progress import Say

_LOOK = 1.0
"""Seconds between two looks at which workers there are."""
_STARTED = 900.0
"""Seconds in which a worker has to tell its facts; it may have to build an image first."""
_TRIES = 3
"""Failures of one job, or of one worker in a row, after which it is given up."""
_GRACE = 60.0
"""Seconds without any worker after which jobs are given up."""


class Caller(Protocol):
    """The source of jobs, which receives their results."""

    def admit(self, machine: str, facts: Message) -> str:
        """Return why a machine cannot take part; empty if it can."""

    def begin(self, job: Job, machine: str) -> None:
        """A job begins on a machine; what was received of an earlier beginning does not count."""

    def receive(self, job: Job, machine: str, message: Message) -> None:
        """A message of a job came, each once and in their order."""

    def end(self, job: Job, machine: str) -> None:
        """A job is done."""


@dataclass
class _Running:
    job: Job
    address: str
    future: Future
    received: int = 0


@dataclass
class _Worker:
    name: str
    supplied: "concurrent.futures.Future[None] | None" = None
    """The end of what its machine is brought; None once it is there."""
    asked: Future | None = None
    """The question for its facts; None once it is answered."""
    group: str | None = None
    failures: int = 0
    execution: str = ""
    is_refused: bool = False

    @property
    def is_free(self) -> bool:
        return self.supplied is None and self.asked is None and not self.execution and not self.is_refused


@dataclass
class _Events:
    """Events that threads of Dask report to the main thread."""

    queue: "queue.Queue[Message]" = field(default_factory=queue.Queue)
    woken: threading.Event = field(default_factory=threading.Event)

    def put(self, event: tuple[float, Message]) -> None:
        self.queue.put(event[1])
        self.woken.set()

    def wake(self, _: Any) -> None:
        self.woken.set()


def dispatch(
    client: Client, jobs: Sequence[Job], work: Work, caller: Caller, say: Say, *, cargo: Cargo = NOTHING
) -> None:
    """Do jobs on the workers of a cluster; in any case their labs are taken down.

    A job whose worker dies, hangs or is cut off begins again on another one. A worker is brought what its machine lacks
    of `cargo` before its first job. Raises the error of a job that failed `_TRIES` times, or at once if it is a mistake
    in its input; `EnvironmentBroken` if no worker can take part.
    """
    dispatcher = _Dispatcher(client, jobs, work, caller, say, cargo)
    try:
        dispatcher.run()
    finally:
        dispatcher.end()


class _Dispatcher:
    def __init__(self, client: Client, jobs: Sequence[Job], work: Work, caller: Caller, say: Say, cargo: Cargo) -> None:
        self._client, self._caller, self._say = client, caller, say
        self._work = replace(work, package=cargo.package.digest) if cargo.package else work
        self._identity = uuid.uuid4().hex
        self._delivery = Delivery(client, self._identity, cargo, say)
        self._topic = f"lab-{self._identity}"
        self._waiting = deque(jobs)
        self._running: dict[str, _Running] = {}
        self._workers: dict[str, _Worker] = {}
        self._failures: Counter[str] = Counter()
        self._refusals: list[str] = []
        self._events = _Events()
        self._alone = 0.0

    def run(self) -> None:
        self._client.subscribe_topic(self._topic, self._events.put)
        while self._waiting or self._running:
            self._look()
            self._hand_out()
            self._events.woken.wait(_LOOK)
            self._events.woken.clear()
            self._receive()
            self._collect()

    def end(self) -> None:
        """Cancel what runs and what is sent, and let all workers take their labs down."""
        self._delivery.end()
        with contextlib.suppress(Exception):  # a cluster that is gone has no labs of ours to take down
            self._client.unsubscribe_topic(self._topic)
            self._client.cancel([running.future for running in self._running.values()], force=True)
            self._client.run(worker.end, self._identity, on_error="ignore")

    def _look(self) -> None:
        """Ask workers that are new for their facts, and give up those that are gone."""
        try:
            known = workers_of(self._client)
        except OSError as error:
            raise EnvironmentBroken(f"the scheduler does not answer any more: {error}") from error
        for address in self._workers.keys() - known.keys():
            gone = self._workers.pop(address)
            self._say(f"{gone.name} is gone")
            if gone.execution:
                self._again(gone.execution)
        for address in known.keys() - self._workers.keys():
            self._meet(address, known[address])
        usable = [w for w in self._workers.values() if not w.is_refused]
        self._alone = 0.0 if usable else self._alone + _LOOK
        if not usable and (self._refusals or self._alone > _GRACE):
            raise EnvironmentBroken(f"no worker can take part: {'; '.join(self._refusals) or 'the cluster has none'}")

    def _meet(self, address: str, info: dict[str, Any]) -> None:
        name = str(info["name"])
        if info["resources"].get(BLOCK, 0) < 1:
            self._workers[address] = _Worker(name)
            self._refuse(self._workers[address], f"{name} has no resource {BLOCK}: start it with `lab cluster worker`")
            return
        supplied = self._delivery.bring(address, name)
        supplied.add_done_callback(self._events.wake)
        self._workers[address] = _Worker(name, supplied)

    def _refuse(self, refused: _Worker, why: str) -> None:
        refused.is_refused = True
        self._refusals.append(why)
        self._say(why)

    def _submit(self, address: str, function: Any, *arguments: Any) -> Future:
        future = self._client.submit(
            function,
            self._identity,
            self._work,
            *arguments,
            workers=[address],
            resources={BLOCK: 1},
            pure=False,
            retries=0,
        )
        future.add_done_callback(self._events.wake)
        return future

    def _hand_out(self) -> None:
        for address, free in self._workers.items():
            if free.supplied is not None and free.supplied.done():
                self._start(address, free)
            if free.asked is not None and free.asked.done():
                self._admit(free)
            if not free.is_free or not self._waiting:
                continue
            job = next((job for job in self._waiting if job.group == free.group), self._waiting[0])
            self._waiting.remove(job)
            free.group, free.execution = job.group, uuid.uuid4().hex
            execution = worker.Execution(free.execution, self._topic, job.order, job.patience)
            self._caller.begin(job, free.name)
            self._running[free.execution] = _Running(job, address, self._submit(address, worker.run, execution))

    def _start(self, address: str, new: _Worker) -> None:
        """Ask a worker, whose machine has all that it needs, for its facts."""
        supplied, new.supplied = new.supplied, None
        assert supplied is not None
        if error := supplied.exception():
            self._refuse(new, f"{new.name}: {_text(error)}")
        else:
            new.asked = self._submit(address, worker.start, _STARTED)

    def _admit(self, new: _Worker) -> None:
        asked, new.asked = new.asked, None
        assert asked is not None
        try:
            why = self._caller.admit(new.name, asked.result())
        except Exception as error:
            why = f"{new.name}: {_text(error)}"
        if why:
            self._refuse(new, why)

    def _receive(self) -> None:
        while not self._events.queue.empty():
            event = self._events.queue.get()
            running = self._running.get(event["execution"])
            # Of a job that has begun again, or is done, nothing more is wanted.
            if running is not None and event["index"] == running.received:
                self._take(running, event["message"])

    def _take(self, running: _Running, message: Message) -> None:
        running.received += 1
        self._caller.receive(running.job, self._workers[running.address].name, message)

    def _collect(self) -> None:
        for identity, running in list(self._running.items()):
            if not running.future.done():
                continue
            of = self._workers.get(running.address)
            try:
                messages = running.future.result()
            except JobFailed as error:
                self._fail(identity, error.kind, error.text)
                continue
            except Exception as error:
                self._fail(identity, "EnvironmentBroken", str(error) or type(error).__name__)
                continue
            if of is None:
                self._again(identity)
                continue
            for message in messages[running.received :]:
                self._take(running, message)
            del self._running[identity]
            of.execution, of.failures = "", 0
            self._caller.end(running.job, of.name)

    def _fail(self, identity: str, kind: str, text: str) -> None:
        running = self._running[identity]
        error: type[LabError] = getattr(errors, kind, EnvironmentBroken) if kind else EnvironmentBroken
        self._failures[running.job.name] += 1
        if kind == "InputError" or self._failures[running.job.name] >= _TRIES:
            raise error(text)
        self._again(identity)
        of = self._workers.get(running.address)
        if of is not None:
            self._say(f"{of.name}: {running.job.name}: {text}; it is done again")
            of.execution, of.group, of.failures = "", None, of.failures + 1
            if of.failures >= _TRIES:
                self._refuse(of, f"{of.name} failed {of.failures} times: {text}")

    def _again(self, identity: str) -> None:
        """Put a job back in front of the others."""
        running = self._running.pop(identity)
        self._client.cancel([running.future], force=True)
        self._waiting.appendleft(running.job)


def _text(error: BaseException) -> str:
    return error.text if isinstance(error, JobFailed) else str(error) or type(error).__name__
