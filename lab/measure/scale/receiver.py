"""A BGP speaker that discards all routes, to measure the speed of the sender alone."""

import select
import socket
import struct
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lab.core.errors import ExpectationFailed
from lab.engine import Namespace
from lab.measure.scale.updates import HEADER, KEEPALIVE, NOTIFICATION, OPEN, Tally, message, open_message, tally
from lab.topology import Address

PORT = 1790
_CHUNK = 1 << 20
_PAUSE = 0.05
"""Seconds of silence after which the received messages are counted; until then they are only read."""


@dataclass(frozen=True)
class Delivery:
    """The received messages and their times on CLOCK_MONOTONIC."""

    first: float
    last: float
    """Time at which the last byte was read."""
    size: int
    """Bytes of BGP."""
    carried: Tally


class Receiver:
    """Listens on an address of a node, in addition to the node's BGP daemon; a context manager."""

    def __init__(self, namespace: Namespace, address: Address, asn: int) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6

        def listen() -> socket.socket:
            opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((str(address), PORT))
            opened.listen()
            return opened

        self._asn = asn
        self._listener = namespace.run(listen)
        self._session: socket.socket | None = None
        self._pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        if self._session is not None:
            self._session.close()

    def establish(self, within: float) -> None:
        """Wait for the sender to connect and to establish the session; raises `ExpectationFailed`."""
        deadline = time.monotonic() + within
        self._listener.settimeout(within)
        try:
            self._session, _ = self._listener.accept()
        except TimeoutError as error:
            raise ExpectationFailed(f"no connection to the discarding receiver within {within:g} s") from error
        self._session.settimeout(within)
        self._expect(OPEN, deadline)
        self._session.sendall(open_message(self._asn, b"\xc0\x00\x02\x01") + message(KEEPALIVE))
        self._expect(KEEPALIVE, deadline)

    def read(self, *, announced: int = 0, withdrawn: int = 0, stalled: float) -> Delivery:
        """Read until that many prefixes have arrived; raises `ExpectationFailed` after `stalled` seconds of silence."""
        assert self._session is not None
        chunks: list[bytes] = []
        carried, size, first, last = Tally(), 0, 0.0, time.monotonic()
        while carried.announced < announced or carried.withdrawn < withdrawn:
            ready, _, _ = select.select([self._session], [], [], _PAUSE)
            if ready:
                received = self._session.recv(_CHUNK)
                last = time.monotonic()
                if not received:
                    raise ExpectationFailed("the sender ended the session with the discarding receiver")
                chunks.append(received)
                size += len(received)
                if not first:  # messages before the first prefix, such as an End-of-RIB, are not part of the table
                    begun, _ = tally(self._pending + b"".join(chunks))
                    first = last if begun.announced or begun.withdrawn else 0.0
                continue
            more, used = tally(self._pending + b"".join(chunks))
            self._pending = (self._pending + b"".join(chunks))[used:]
            chunks.clear()
            carried += more
            if time.monotonic() - last > stalled:
                raise ExpectationFailed(f"the sender sent nothing for {stalled:g} s, after {carried}")
        return Delivery(first, last, size, carried)

    def _expect(self, kind: int, deadline: float) -> None:
        """Read messages until one of a kind; ignore others, such as an End-of-RIB."""
        assert self._session is not None
        while True:
            if len(self._pending) >= HEADER:
                length, found = struct.unpack_from("!HB", self._pending, 16)
                if len(self._pending) >= length:
                    body, self._pending = self._pending[HEADER:length], self._pending[length:]
                    if found == kind:
                        return
                    if found == NOTIFICATION:
                        raise ExpectationFailed(f"the sender refused the discarding receiver: {body.hex()}")
                    continue
            try:
                received = self._session.recv(_CHUNK)
            except TimeoutError:
                received = b""
            if not received or time.monotonic() > deadline:
                raise ExpectationFailed("the sender did not establish the session with the discarding receiver")
            self._pending += received
