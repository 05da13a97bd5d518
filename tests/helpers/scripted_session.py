"""Sessions of workers for tests without labs: what a job does is in its order."""

import os
import signal
import threading
from pathlib import Path

from lab.cluster.job import Message, Send
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
