"""Buffers of sockets: as large as asked for where that is allowed, as large as the host's bound elsewhere."""

import os
import socket
from pathlib import Path

import pytest

from lab.core.buffers import enlarge_receive_buffer, enlarge_send_buffer


@pytest.mark.parametrize(
    ("enlarge", "option", "bound"),
    [
        (enlarge_receive_buffer, socket.SO_RCVBUF, "rmem_max"),
        (enlarge_send_buffer, socket.SO_SNDBUF, "wmem_max"),
    ],
)
def test_buffer_is_as_large_as_allowed(enlarge: object, option: int, bound: str) -> None:
    assert callable(enlarge)
    most = int(Path("/proc/sys/net/core", bound).read_text())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        enlarge(endpoint, 4 * most)
        found = endpoint.getsockopt(socket.SOL_SOCKET, option) // 2  # the kernel doubles it for its own data
    assert found in ((4 * most,) if os.geteuid() == 0 else (most, 4 * most))


def test_buffer_of_an_ordinary_user_is_as_large_as_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bounded(socket.socket):
        def setsockopt(self, level: int, option: int, value: int) -> None:  # type: ignore[override]
            if option == 33:
                raise PermissionError(1, "Operation not permitted")
            super().setsockopt(level, option, value)

    most = int(Path("/proc/sys/net/core/rmem_max").read_text())
    with Bounded(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        enlarge_receive_buffer(endpoint, 4 * most)
        assert endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2 == most
