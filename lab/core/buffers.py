"""Buffers of sockets, as large as this process may make them (socket(7))."""

import socket
from contextlib import suppress
from typing import Final

_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33


def enlarge_receive_buffer(endpoint: socket.socket, size: int) -> None:
    """Let a socket keep `size` bytes until they are read; an ordinary user gets net.core.rmem_max at most."""
    _enlarge(endpoint, _SO_RCVBUFFORCE, socket.SO_RCVBUF, size)


def enlarge_send_buffer(endpoint: socket.socket, size: int) -> None:
    """Let a socket keep `size` bytes until they are sent; an ordinary user gets net.core.wmem_max at most."""
    _enlarge(endpoint, _SO_SNDBUFFORCE, socket.SO_SNDBUF, size)


def _enlarge(endpoint: socket.socket, beyond: int, bounded: int, size: int) -> None:
    # Root of a user namespace is not root enough to exceed the host's bound.
    endpoint.setsockopt(socket.SOL_SOCKET, bounded, size)
    with suppress(PermissionError):
        endpoint.setsockopt(socket.SOL_SOCKET, beyond, size)
