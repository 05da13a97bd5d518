"""Jobs whose messages are wanted when all are done, from machines that are alike."""

from collections.abc import Callable, Mapping, Sequence

from distributed import Client

from lab.cluster.delivery import NOTHING, Cargo
from lab.cluster.dispatch import dispatch
from lab.cluster.job import Job, Message, Work
from lab.core.progress import Say

TOPIC = "say"
"""The key of a message that is progress."""


def gather(
    client: Client,
    jobs: Sequence[Job],
    work: Work,
    say: Say,
    received: Callable[[Message], None] = lambda _: None,
    *,
    cargo: Cargo = NOTHING,
) -> Mapping[str, Sequence[Message]]:
    """Do jobs on the workers of a cluster; return the messages of each by its name.

    `received` is called with the messages of a job once it is done. `cargo` and errors are those of `dispatch`.
    """
    gathered = _Gathered(len(jobs), say, received)
    dispatch(client, jobs, work, gathered, say, cargo=cargo)
    return gathered.messages


class _Gathered:
    def __init__(self, total: int, say: Say, received: Callable[[Message], None]) -> None:
        self.messages: dict[str, list[Message]] = {}
        self._total, self._say, self._received = total, say, received
        self._done = 0
        self._machines: dict[str, Message] = {}

    def admit(self, machine: str, facts: Message) -> str:
        """Return in what a machine differs from the first one."""
        first = next(iter(self._machines), machine)
        known = self._machines.setdefault(first, facts)
        differing = [f"{key} {facts[key]} instead of {known[key]}" for key in known if facts[key] != known[key]]
        if differing:
            return f"{machine} differs from {first}: {', '.join(differing)}"
        self._machines[machine] = facts
        return ""

    def begin(self, job: Job, machine: str) -> None:
        """Drop what an earlier beginning sent."""
        self.messages[job.name] = []
        self._say(f"{self._done} of {self._total} done; {machine}: {job.name}")

    def receive(self, job: Job, machine: str, message: Message) -> None:
        """Keep a result, or pass progress on."""
        if TOPIC in message:
            self._say(f"{self._done} of {self._total} done; {machine}: {job.name}: {message[TOPIC]}")
        else:
            self.messages[job.name].append(message)

    def end(self, job: Job, machine: str) -> None:
        """Count a job, and hand its results on."""
        self._done += 1
        for message in self.messages[job.name]:
            self._received(message)
