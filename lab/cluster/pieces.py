"""Content in numbered pieces, with a digest at the end: what is lost or damaged on the way is noticed."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lab.core.errors import EnvironmentBroken

SIZE: Final = 16 << 20
"""Bytes of a piece; one is on its way at a time, so that neither side needs memory for more."""


@dataclass(frozen=True)
class Piece:
    """A part of the content."""

    number: int
    """Counted from 0."""
    content: bytes


@dataclass(frozen=True)
class End:
    """The end of the content."""

    digest: str
    """SHA-256 of all of it."""


def cut(chunks: Iterable[bytes], size: int = SIZE) -> Iterator[Piece | End]:
    """Yield content of any chunks in pieces of a size, of which the last one may be shorter, and its end."""
    digest, number, waiting = hashlib.sha256(), 0, bytearray()
    for chunk in chunks:
        digest.update(chunk)
        waiting += chunk
        while len(waiting) >= size:
            yield Piece(number, bytes(waiting[:size]))
            del waiting[:size]
            number += 1
    if waiting:
        yield Piece(number, bytes(waiting))
    yield End(digest.hexdigest())


def join(receive: Callable[[int], Piece | End]) -> Iterator[bytes]:
    """Yield the content of pieces; `receive` is called for each with the number that is next.

    The last piece is yielded when the digest is known to be right: a consumer never takes a damaged content for a
    whole one. Raises `EnvironmentBroken` if it is not what was sent.
    """
    digest, number, held = hashlib.sha256(), 0, b""
    while not isinstance(got := receive(number), End):
        if got.number != number:
            raise EnvironmentBroken(f"piece {got.number} arrived instead of piece {number}")
        digest.update(got.content)
        if held:
            yield held
        held, number = got.content, number + 1
    if got.digest != digest.hexdigest():
        raise EnvironmentBroken(f"it arrived with digest {digest.hexdigest()} instead of {got.digest}")
    if held:
        yield held
