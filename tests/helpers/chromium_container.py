"""The program that Playwright launches in a browser's place: Chromium in a container without a network.

Playwright speaks the DevTools protocol over the file descriptors 3 and 4 of what it launches. This program passes it on
over the container's stdin and stdout, which the image's entry point turns into 3 and 4 again. So nothing listens on any
socket, and the browser ends when Playwright, this program or the test run does, because that closes its stdin.
"""

import os
import socket
import sys
from contextlib import suppress
from threading import Thread

from docker.errors import APIError, NotFound
from docker.utils.socket import STDOUT, frames_iter

from lab.host import docker_engine

_FROM_PLAYWRIGHT, _TO_PLAYWRIGHT, _STDERR = 3, 4, 2
_CHUNK = 1 << 16


def main(name: str, image: str, *arguments: str) -> None:
    """Run the browser until its stdin or its stdout is closed."""
    container = docker_engine.connect().containers.create(
        image,
        list(arguments),
        name=name,
        network_mode="none",
        cap_drop=["ALL"],
        stdin_open=True,
        auto_remove=True,
    )
    try:
        stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1, "logs": 1})
        connection: socket.socket = stream._sock  # type: ignore[union-attr]
        connection.settimeout(None)
        container.start()
        Thread(target=_pass_on, args=(connection,), daemon=True).start()
        for origin, data in frames_iter(stream, tty=False):  # type: ignore[no-untyped-call]
            _write(_TO_PLAYWRIGHT if origin == STDOUT else _STDERR, data)
    finally:
        with suppress(NotFound, APIError):  # auto_remove may have been faster
            container.remove(force=True)


def _pass_on(connection: socket.socket) -> None:
    with suppress(OSError):
        while data := os.read(_FROM_PLAYWRIGHT, _CHUNK):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


if __name__ == "__main__":
    main(*sys.argv[1:])
