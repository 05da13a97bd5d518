"""The requests to the Docker engine that are made without the SDK, against an HTTP server on a Unix socket."""

import json
import socketserver
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from docker.errors import APIError, DockerException, NotFound

from lab.host.docker_api import Client


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers each path with a status and a body, and keeps the requests."""

    def __init__(self, path: str) -> None:
        super().__init__(path, Handler)
        self.answers: dict[str, tuple[int, str, bytes]] = {}
        self.requests: list[tuple[str, str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.server.requests.append((self.command, self.path, json.loads(self.rfile.read(length) or "null")))
        status, kind, body = self.server.answers[self.path.partition("?")[0]]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - names of http.server

    def address_string(self) -> str:
        return "client"

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(str(tmp_path / "docker.sock")) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Sdk:
    """A fake of the SDK's client."""

    images = "images of the SDK"

    class api:  # noqa: N801 - an attribute of the SDK's client
        pull = "pull of the SDK"


def connect() -> Any:
    return Sdk()


@pytest.fixture
def client(tmp_path: Path, server: Server) -> Client:
    return Client(f"unix://{tmp_path}/docker.sock", timeout=5, connect=connect)


def as_json(status: int, answer: Any) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(answer).encode()


def frame(stream: int, text: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


def test_containers_are_filtered_by_label(server: Server, client: Client) -> None:
    server.answers["/containers/json"] = as_json(200, [{"Id": "a"}])
    assert client.api.containers(all=True, filters={"label": "lab=x"}) == [{"Id": "a"}]
    ((method, path, _),) = server.requests
    assert (method, path) == ("GET", "/containers/json?all=1&filters=%7B%22label%22%3A+%5B%22lab%3Dx%22%5D%7D")


def test_exec_separates_stdout_and_stderr(server: Server, client: Client) -> None:
    body = frame(1, b"one\n") + frame(2, b"error\n") + frame(1, b"two\n")
    server.answers = {
        "/containers/hq/exec": as_json(201, {"Id": "e1"}),
        "/exec/e1/start": (200, "application/vnd.docker.raw-stream", body),
        "/exec/e1/json": as_json(200, {"ExitCode": 3}),
    }
    assert client.api.exec_create("hq", ["ls", "-l"]) == {"Id": "e1"}
    assert client.api.exec_start("e1", demux=True) == (b"one\ntwo\n", b"error\n")
    assert client.api.exec_inspect("e1") == {"ExitCode": 3}
    bodies = [body for _, _, body in server.requests]
    assert bodies == [
        {"Cmd": ["ls", "-l"], "AttachStdout": True, "AttachStderr": True},
        {"Detach": False, "Tty": False},
        None,
    ]


def test_exec_without_output_is_empty(server: Server, client: Client) -> None:
    server.answers["/exec/e1/start"] = (200, "application/vnd.docker.raw-stream", b"")
    assert client.api.exec_start("e1", demux=True) == (b"", b"")


def test_detached_exec_returns_nothing(server: Server, client: Client) -> None:
    server.answers["/exec/e1/start"] = (200, "text/plain", b"")
    assert client.api.exec_start("e1", detach=True) is None
    assert server.requests[0][2] == {"Detach": True}


def test_container_is_removed_with_its_volumes_by_force(server: Server, client: Client) -> None:
    server.answers["/containers/hq"] = (204, "text/plain", b"")
    client.api.remove_container("hq", force=True, v=True)
    assert server.requests[0][:2] == ("DELETE", "/containers/hq?force=1&v=1")


@pytest.mark.parametrize(("status", "kind"), [(404, NotFound), (409, APIError), (500, APIError)])
def test_error_status_is_the_sdks_exception(server: Server, client: Client, status: int, kind: type[Exception]) -> None:
    server.answers["/containers/hq/pause"] = as_json(status, {"message": "unable to freeze"})
    with pytest.raises(kind) as caught:
        client.api.pause("hq")
    assert (caught.value.status_code, caught.value.explanation) == (status, "unable to freeze")  # type: ignore[attr-defined]
    assert "unable to freeze" in str(caught.value)


def test_error_that_is_not_json_keeps_its_text(server: Server, client: Client) -> None:
    server.answers["/containers/hq/json"] = (502, "text/html", b"Bad gateway")
    with pytest.raises(APIError, match="Bad gateway"):
        client.api.inspect_container("hq")


def test_missing_socket_is_the_sdks_exception(tmp_path: Path) -> None:
    with pytest.raises(DockerException, match="No such file") as caught:
        Client(f"unix://{tmp_path}/nowhere.sock", timeout=5, connect=connect).version()
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_other_requests_are_made_by_the_sdk(client: Client) -> None:
    assert client.images == Sdk.images
    assert client.api.pull == Sdk.api.pull


def test_module_does_not_import_the_sdk() -> None:
    program = (
        "import lab.host.docker_api, lab.engine.docker.engine, sys\nprint({'docker', 'requests'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
