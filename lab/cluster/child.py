"""The process in which a worker runs jobs: `python -m lab.cluster.child`, a line of JSON for each order and message.

The first line that it reads is the work, each other one an order. It writes a line for each message and one at the end
of each order. When its input ends, because the worker has closed it or was killed, it interrupts the job as Ctrl-C
does, so that its labs are taken down, and ends.
"""

import json
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, TextIO

from lab.cluster.job import Message, Session, Work
from lab.core.errors import EnvironmentBroken, LabError
from lab.engine import enter_namespaces

IDLE = 60.0
"""Seconds without an order after which a session is closed: the caller may be gone."""


class _Input:
    """Reads orders in a thread, and interrupts the main thread when the worker has ended."""

    def __init__(self, file: TextIO) -> None:
        self.orders: queue.Queue[Message | None] = queue.Queue()
        self._file = file
        self._lock = threading.Lock()
        self._is_working = False
        self._has_ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._file:
            self.orders.put(json.loads(line))
        with self._lock:
            self._has_ended = True
            if self._is_working:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        self.orders.put(None)

    def __enter__(self) -> None:
        with self._lock:
            if self._has_ended:
                raise KeyboardInterrupt
            self._is_working = True

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_working = False


def main() -> None:
    """Serve a worker until its end of the pipe is closed."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print to the log
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(EnvironmentBroken):  # a job that needs them says so
        enter_namespaces()  # as long as this process has one thread

    def send(line: Message) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    orders = _Input(sys.stdin)
    first = orders.orders.get()
    if first is None:
        return
    session: Session | None = None
    try:
        # Not interrupted: a session that is made by half could not be closed.
        session = Work(**first).open()
        with orders:
            send({"facts": session.facts()})
        while order := _next(orders.orders):
            with orders:
                session.do(order, lambda message: send({"message": message}))
                send({"done": True})
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    except Exception as error:
        send({"error": describe(error)})
    finally:
        if session is not None:
            session.close()


def _next(orders: "queue.Queue[Message | None]") -> Message | None:
    try:
        return orders.get(timeout=IDLE)
    except queue.Empty:
        return None


def describe(error: Exception) -> dict[str, Any]:
    """Return an error for the worker, which raises it as `JobFailed`."""
    if isinstance(error, LabError):
        return {"kind": type(error).__name__, "text": str(error)}
    return {"kind": "", "text": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
