"""Connecting to an engine: which ones are refused, and how errors read."""

import errno
import socket
from http.client import RemoteDisconnected
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from docker.errors import APIError, DockerException
from urllib3.exceptions import ProtocolError

from lab.core.errors import EnvironmentBroken
from lab.engine import Instance, NodeState
from lab.engine.docker.engine import DockerEngine
from lab.host import docker_engine

PODMAN = {"Version": "4.3.1", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}]}
OLD_PODMAN = {"Version": "3.0.1", "Components": [{"Name": "Podman Engine", "Version": "3.0.1"}]}
DOCKER = {"Version": "28.0.1", "Components": [{"Name": "Engine", "Version": "28.0.1"}, {"Name": "containerd"}]}


@pytest.mark.parametrize("environment", [{}, {"DOCKER_HOST": ""}])
def test_endpoint_defaults_to_the_system_socket(environment: dict[str, str]) -> None:
    assert docker_engine.endpoint(environment) == "unix:///var/run/docker.sock"


def test_endpoint_honours_docker_host() -> None:
    assert docker_engine.endpoint({"DOCKER_HOST": "unix:///x"}) == "unix:///x"


@pytest.mark.parametrize("host", ["tcp://192.0.2.1:2375", "ssh://root@elsewhere", "tcp://docker:2376"])
def test_remote_engine_is_refused_on_one_line(host: str) -> None:
    refusal = docker_engine.refuse_remote(host)
    assert refusal is not None
    assert host in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize(
    "host", ["unix:///run/x.sock", "tcp://127.0.0.1:2375", "tcp://localhost:2375", "tcp://[::1]:1"]
)
def test_local_engine_is_accepted(host: str) -> None:
    assert docker_engine.refuse_remote(host) is None


def test_engine_in_a_virtual_machine_is_refused() -> None:
    assert docker_engine.refuse_foreign_kernel("unix:///x", "6.1.0-linuxkit", "6.12.0") is not None
    assert docker_engine.refuse_foreign_kernel("unix:///x", "6.12.0", "6.12.0") is None


def test_podman_before_version_4_is_refused() -> None:
    refusal = docker_engine.refuse_podman("unix:///x", OLD_PODMAN)
    assert refusal is not None
    assert "the engine at unix:///x is Podman 3.0.1, whose interface" in refusal
    assert "install Podman 4 or newer" in refusal
    for accepted in (PODMAN, DOCKER, {"Version": "1.13", "Components": None}):
        assert docker_engine.refuse_podman("unix:///x", accepted) is None


def test_product_is_named_with_its_version() -> None:
    assert docker_engine.product(DOCKER) == "Docker 28.0.1"
    assert docker_engine.product(PODMAN) == "Podman 4.3.1"


class Client:
    """A client of an engine, as `docker.from_env` returns it."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.api = SimpleNamespace(trust_env=True)
        self.closed = False

    def version(self) -> dict[str, Any]:
        return self.facts

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("facts", "accepted"), [(DOCKER, True), (PODMAN, True), (OLD_PODMAN, False)])
def test_connect_refuses_an_old_podman_and_closes_the_client(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], accepted: bool
) -> None:
    client = Client(facts)
    monkeypatch.setattr(docker_engine, "try_connect", lambda host: None)
    monkeypatch.setattr("docker.from_env", lambda **_: client)
    if accepted:
        connected: Any = docker_engine.connect()
        assert connected is client
        assert not client.api.trust_env
    else:
        with pytest.raises(EnvironmentBroken, match=r"Podman 3\.0\.1"):
            docker_engine.connect()
    assert client.closed is not accepted


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "no Docker engine answers at unix:///x: start it, run `make lab-up ENGINE=docker` as root"),
        (errno.ECONNREFUSED, "no Docker engine answers"),
        (errno.EACCES, "may not use the Docker engine"),
    ],
)
def test_system_errors_are_translated(number: int, words: str) -> None:
    bare = docker_engine.translate("unix:///x", OSError(number, "x"))
    assert words in str(bare)
    wrapped = DockerException("Error while fetching server API version")
    wrapped.__cause__ = OSError(number, "x")
    assert str(docker_engine.translate("unix:///x", wrapped)) == str(bare)


def test_missing_permission_names_the_user_and_two_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ada")
    text = str(docker_engine.translate("unix:///x", PermissionError(errno.EACCES, "x")))
    assert "user ada" in text
    assert "sudo adduser ada docker" in text


def test_other_errors_are_joined_to_one_line() -> None:
    text = str(docker_engine.translate("unix:///x", DockerException("client version 1.41\nis too old")))
    assert "client version 1.41 is too old" in text


def aborted(cause: Exception) -> requests.ConnectionError:
    """The error of requests when the engine ends while it answers, as its client raises it."""
    return requests.ConnectionError(ProtocolError("Connection aborted.", cause))


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            aborted(RemoteDisconnected("Remote end closed connection without response")),
            "it closed the connection in the middle of a request",
        ),
        (aborted(ConnectionResetError(errno.ECONNRESET, "x")), "Connection reset by peer"),
        (aborted(FileNotFoundError(errno.ENOENT, "x")), "No such file or directory"),
        (ProtocolError("Connection broken: IncompleteRead(0 bytes read)"), "it closed the connection in the middle"),
        (requests.ReadTimeout("UnixHTTPConnectionPool(host='localhost'): Read timed out."), "timed out"),
    ],
)
def test_engine_that_dies_during_a_request_is_one_sentence(error: Exception, why: str) -> None:
    def exec_create(*_: object) -> None:
        raise error

    engine = DockerEngine(SimpleNamespace(api=SimpleNamespace(exec_create=exec_create)))  # type: ignore[arg-type]
    instance = Instance("l", "hq", "clab-l-hq", "image", NodeState.RUNNING, Path())
    with pytest.raises(EnvironmentBroken) as caught:
        engine.exec(instance, ["true"])
    text = str(caught.value)
    assert text.startswith(f"hq: the Docker engine does not answer: {why}")
    assert text.endswith("; check that dockerd runs, with `lab doctor`")
    assert not set("\n()") & set(text)


def test_refusal_of_the_engine_is_its_last_line() -> None:
    refused = pytest.raises(EnvironmentBroken, match="hq: the engine refused: no such device")
    with refused, docker_engine.translated("hq"):
        raise APIError("500", explanation="failed to start\nno such device")


def test_connect_without_a_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EnvironmentBroken, match="no Docker engine answers"):
        docker_engine.connect()


def test_connect_to_the_socket_of_a_dead_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(EnvironmentBroken, match="no Docker engine answers"):
        docker_engine.connect()
