"""Sessions of workers for tests without labs: what a job does is in its order."""

import os
import signal
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from lab.cluster.job import Job, Message, Send
from lab.core.errors import InputError


class Scripted:
    """A session that leaves a file while it has something to take down, and does what its orders say."""

    def __init__(self, context: Message) -> None:
        self._directory = Path(context["directory"])
        self._lab = self._directory / f"lab-{os.getpid()}"
        self._lab.touch()

    def facts(self) -> Message:
        """Return facts; the first session that finds a file of that name has others than the rest."""
        return {"pid": os.getpid(), "odd": self._first("odd")}

    def do(self, order: Message, send: Send) -> None:
        """Send numbers; on the way do what the order says, once in all sessions."""
        for number in range(order["count"]):
            if number == 1 and self._first(order.get("once", "")):
                match order["once"]:
                    case "die":
                        os.kill(os.getpid(), signal.SIGKILL)
                    case "fail":
                        raise RuntimeError("out of order")
                    case "hang":
                        threading.Event().wait()
            if number == 1 and order.get("wrong"):
                raise InputError("no such topology")
            send({"number": number, "pid": os.getpid()})

    def close(self) -> None:
        """Take down."""
        self._lab.unlink()

    def _first(self, name: str) -> bool:
        """Return whether there is a file of this name, which only one session can take."""
        try:
            (self._directory / name).rename(self._directory / f"{name or 'nothing'}-taken")
        except OSError:
            return False
        return bool(name)


WORK = "tests.helpers.scripted_session:Scripted"


class Gathered:
    """A caller that keeps what it receives."""

    def __init__(self, *, refuse_odd: bool = False) -> None:
        self.refuse_odd = refuse_odd
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.received: defaultdict[str, list[tuple[str, Message]]] = defaultdict(list)
        self.said: list[str] = []

    def admit(self, machine: str, facts: Message) -> str:
        return f"{machine} is odd" if self.refuse_odd and facts["odd"] else ""

    def begin(self, job: Job, machine: str) -> None:
        self.begun[job.name] += 1
        self.received[job.name] = []

    def receive(self, job: Job, machine: str, message: Message) -> None:
        self.received[job.name].append((machine, message))

    def end(self, job: Job, machine: str) -> None:
        self.ended[job.name] += 1

    def numbers(self, job: str) -> list[int]:
        return [message["number"] for _, message in self.received[job]]


def job(name: str, count: int = 3, **more: Any) -> Job:
    patience = more.pop("patience", 60.0)
    return Job(name, {"count": count, **more}, patience=patience)
