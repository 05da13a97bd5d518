"""The client of Unix sockets, against a server that sends what each test asks for."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken, LabError
from lab.core.unix_socket import UnixSocket

Talk = Callable[[socket.socket], object]
PATIENCE = 10.0
SHORT = 0.2


class RefusedError(LabError):
    """The error that a protocol has for its failures."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "program.sock"


@pytest.fixture
def serve(path: Path) -> Iterator[Callable[[Talk], None]]:
    """Accept one connection and run the test's function on it."""
    threads: list[threading.Thread] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(1)

        def start(talk: Talk) -> None:
            def work() -> None:
                client, _ = listening.accept()
                with client:
                    talk(client)

            threads.append(threading.Thread(target=work))
            threads[-1].start()

        yield start
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


def connect(path: Path, patience: float = PATIENCE) -> UnixSocket:
    return UnixSocket(path, "program", patience=patience)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_answers_are_split_at_the_delimiter_in_parts_of_any_size(
    path: Path, serve: Callable[[Talk], None], size: int
) -> None:
    data = b"one\0\0two\0\0\x01\0\0\0xyz"

    def talk(client: socket.socket) -> None:
        for start in range(0, len(data), size):
            client.sendall(data[start : start + size])

    serve(talk)
    with connect(path) as program:
        assert program.read_until(b"\0\0") == b"one"
        assert program.read_until(b"\0\0") == b"two"
        assert program.read(1) == b"\x01"
        assert program.read_until(b"\0\0\0") == b""
        assert program.read(3) == b"xyz"


def test_command_is_sent_with_its_end(path: Path, serve: Callable[[Talk], None]) -> None:
    serve(lambda client: client.sendall(client.recv(100).upper() + b"."))
    with connect(path) as program:
        program.send("show version", b"\n")
        assert program.read_until(b".") == b"SHOW VERSION\n"


@pytest.mark.parametrize("answer", [b"", b"half an ans"])
def test_closed_connection_names_path_program_and_command(
    path: Path, serve: Callable[[Talk], None], answer: bytes
) -> None:
    serve(lambda client: client.sendall(answer) if client.recv(100) else None)
    with UnixSocket(path, "program", patience=PATIENCE, error=RefusedError) as program:
        program.send("show version", b"\n")
        with pytest.raises(RefusedError) as caught:
            program.read_until(b"\n")
    assert str(caught.value) == f"{path}: program closed the connection before it answered `show version`"


def test_connection_closed_at_once_is_an_error_of_every_later_call(path: Path, serve: Callable[[Talk], None]) -> None:
    serve(lambda client: None)
    with connect(path) as program:
        with pytest.raises(EnvironmentBroken, match="program closed the connection before it accepted commands"):
            program.read_until(b"\n")

        def ask() -> bytes:
            program.send("a", b"\n")
            return program.read(1)

        with pytest.raises(EnvironmentBroken, match="before it answered `a`"):
            ask()


def test_silent_program_times_out(path: Path, serve: Callable[[Talk], None]) -> None:
    serve(lambda client: client.recv(100) and client.recv(100))
    began = time.monotonic()
    with connect(path, patience=SHORT) as program:
        program.send("show version", b"\n")
        with pytest.raises(EnvironmentBroken, match=f"{path}: program did not answer `show version` in time"):
            program.read_until(b"\n")
    assert time.monotonic() - began >= SHORT


def test_deadline_replaces_the_patience(path: Path, serve: Callable[[Talk], None]) -> None:
    serve(lambda client: client.recv(100))
    with connect(path, patience=3600) as program:
        deadline = time.monotonic() + SHORT
        with pytest.raises(EnvironmentBroken, match="program did not answer in time"):
            program.read_until(b"\n", deadline)
        assert time.monotonic() >= deadline


def test_wait_closed_returns_when_the_program_has_closed(path: Path, serve: Callable[[Talk], None]) -> None:
    closed = threading.Event()

    def talk(client: socket.socket) -> None:
        client.recv(100)
        client.sendall(b"more output")
        closed.set()

    serve(talk)
    with connect(path) as program:
        program.send("quit", b"\n")
        program.wait_closed()
        assert closed.is_set()


def test_missing_socket_and_missing_directory_are_one_line(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.sock", tmp_path / "none" / "none.sock"):
        with pytest.raises(EnvironmentBroken) as caught:
            connect(missing)
        assert str(caught.value) == f"no program process listens on {missing} (No such file or directory)"


def test_socket_of_an_ended_program_is_refused(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(EnvironmentBroken, match=r"no program process listens on .* \(Connection refused\)"):
        connect(path)


def test_connection_is_retried_while_the_queue_is_full(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as queued:
        listening.bind(str(path))
        listening.listen(0)
        queued.connect(str(path))
        with pytest.raises(EnvironmentBroken, match="Resource temporarily unavailable"):
            connect(path, patience=SHORT)
        connecting = threading.Thread(target=lambda: connect(path).close())
        connecting.start()
        for _ in range(2):
            listening.accept()[0].close()
        connecting.join(10)
        assert not connecting.is_alive()


def test_path_may_be_longer_than_a_socket_address(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / ("e" * 100) / "program.sock"
    path.parent.mkdir(parents=True)
    directory = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
        listening.listen(1)
        connect(path).close()


def test_all_file_descriptors_are_closed(path: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        before = open_files()
        for missing in (path, path.with_name("none"), path.with_name("none") / "none"):
            with pytest.raises(EnvironmentBroken):
                connect(missing)
        listening.listen(1)
        connect(path).close()
        assert open_files() == before
