"""Brings the caller's package and images to the machines of workers that lack them."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from threading import Thread
from typing import Any, Final

from distributed import Client

from lab.cluster import receiver
from lab.cluster.job import JobFailed, Message
from lab.cluster.package import Package
from lab.cluster.pieces import Piece, cut
from lab.cluster.store import END, IMAGE, PIECE, WANTED
from lab.core.progress import Say
from lab.engine import Engine
from lab.image.parcel import Parcel

_ENDED: Final = 30.0
"""Seconds in which the threads have to end; one that waits for a paused machine may not."""
_MEGABYTE: Final = 1_000_000
_SHOWN: Final = 0.1
"""The part of an image after which progress is shown again."""


@dataclass(frozen=True)
class Cargo:
    """The content for the machines of workers."""

    package: Package | None = None
    """The package that all workers run; without one each runs what it has installed."""
    images: Sequence[Parcel] = ()
    engine: Engine | None = None
    """The engine that has the images."""


NOTHING: Final = Cargo()


class Delivery:
    """Serves each worker in a thread of its own."""

    def __init__(self, client: Client, identity: str, cargo: Cargo, say: Say) -> None:
        self._client, self._identity, self._cargo, self._say = client, identity, cargo, say
        self._brought: list[Future[None]] = []
        self._is_over = False

    def bring(self, address: str, name: str) -> "Future[None]":
        """Begin to bring a worker's machine what it lacks; the future raises an error if that is not possible."""
        brought: Future[None] = Future()
        self._brought.append(brought)

        def run() -> None:
            try:
                self._bring(address, name)
            except BaseException as error:
                brought.set_exception(error)
            else:
                brought.set_result(None)

        Thread(target=run, daemon=True).start()
        return brought

    def end(self) -> None:
        """Stop what is under way; nothing of it is left on the machines."""
        self._is_over = True
        if all(brought.done() for brought in self._brought):
            return
        with suppress(Exception):  # workers that are gone have ended it themselves
            self._client.run(receiver.close_store, self._identity, on_error="ignore")
        wait(self._brought, _ENDED)

    def _bring(self, address: str, name: str) -> None:
        package = self._cargo.package
        if package and self._run(address, receiver.lacks_package, package.digest):
            self._say(f"{name} lacks this package, which is sent")
            self._run(address, receiver.take_package, package.digest, package.archive)
        if not self._cargo.images:
            return
        try:
            for parcel in self._cargo.images:
                self._send(address, name, parcel)
        finally:
            with suppress(Exception):  # a worker that is gone has ended its process
                self._run(address, receiver.close_store, self._identity)

    def _send(self, address: str, name: str, parcel: Parcel) -> None:
        if WANTED not in self._order(address, {IMAGE: asdict(parcel)}):
            return
        assert self._cargo.engine is not None
        whole = f"{parcel.size / _MEGABYTE:.0f} MB"
        self._say(f"{name} lacks {parcel}, which is sent: {whole}")
        sent, shown = 0, 0.0
        for part in cut(self._cargo.engine.read_image(parcel)):
            if not isinstance(part, Piece):
                self._order(address, {END: part.digest})
                break
            self._order(address, {PIECE: part.number}, part.content)
            sent += len(part.content)
            if sent / parcel.size >= shown + _SHOWN:
                shown = sent / parcel.size
                self._say(f"{name}: {parcel}: {sent / _MEGABYTE:.0f} of about {whole}")
        self._say(f"{name} has {parcel}")

    def _order(self, address: str, order: Message, content: bytes = b"") -> Message:
        if self._is_over:
            raise JobFailed("EnvironmentBroken", "the caller has ended")
        digest = self._cargo.package.digest if self._cargo.package else ""
        answer: Message = self._run(address, receiver.store_image, self._identity, digest, order, content)
        return answer

    def _run(self, address: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in a worker, and return its result."""
        return self._client.run(function, *arguments, workers=[address])[address]
