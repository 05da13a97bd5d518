"""The process in which a worker stores images: `python -m lab.cluster.store`.

It reads orders, each a line of JSON with as many bytes behind it as the line says, and answers each with a line. It
has an engine of its own, of the package that the caller sends: Dask's process cannot enter the namespaces of an
ordinary user's labs. When its input ends, or nothing comes for a while, it removes what it has stored by half.
"""

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO

from lab.cluster.child import IDLE, describe
from lab.cluster.job import Message
from lab.cluster.pieces import End, Piece, join
from lab.core.errors import EnvironmentBroken
from lab.engine import Engine, open_engine
from lab.image.parcel import Parcel

SIZE, IMAGE, PIECE, END, WANTED, STORED = "size", "image", "piece", "end", "wanted", "stored"
"""Keys of orders and answers."""


class Orders:
    """The orders of a worker."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __call__(self) -> tuple[Message, bytes]:
        """Return the next order; raises `EOFError` if there is none."""
        # Each order is answered before the next one is written, so nothing waits in the file's buffer.
        readable, _, _ = select.select([self._file], [], [], IDLE)
        line = self._file.readline() if readable else b""
        if not line.endswith(b"\n"):
            raise EOFError
        order: Message = json.loads(line)
        content = self._file.read(order[SIZE])
        if len(content) != order[SIZE]:
            raise EOFError
        return order, content


def serve(engine: Engine, orders: Callable[[], tuple[Message, bytes]], answer: Callable[[Message], None]) -> None:
    """Store images until the orders end; raises the errors of images that cannot be stored."""

    def receive(number: int) -> Piece | End:
        answer({WANTED: number})
        order, content = orders()
        return End(order[END]) if END in order else Piece(order[PIECE], content)

    while True:
        order, _ = orders()
        parcel = Parcel(**order[IMAGE])
        try:
            _store(engine, parcel, receive)
        except EOFError:
            raise EnvironmentBroken(f"{parcel} was not sent to its end") from None
        answer({STORED: True})


def _store(engine: Engine, parcel: Parcel, receive: Callable[[int], Piece | End]) -> None:
    if engine.digest_of(parcel.reference) == parcel.digest:
        return
    if engine.name != parcel.engine:
        raise EnvironmentBroken(
            f"its engine is {engine.name}, which cannot take {parcel} of the caller's engine {parcel.engine}: "
            "use one engine on all machines (LAB_ENGINE)"
        )
    engine.write_image(parcel, join(receive))
    if (found := engine.digest_of(parcel.reference)) != parcel.digest:
        raise EnvironmentBroken(
            f"{parcel} is stored, but another image has that name ({found}): remove that one from the machine's engines"
        )


def main() -> None:
    """Serve a worker until its end of the pipe is closed."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print to the log
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def answer(line: Message) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    try:
        serve(open_engine(), Orders(sys.stdin.buffer), answer)
    except (KeyboardInterrupt, BrokenPipeError, EOFError):
        pass
    except Exception as error:
        answer({"error": describe(error)})


if __name__ == "__main__":
    main()
