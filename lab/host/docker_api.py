"""A client for the requests to the Docker engine that most commands make, over `http.client`.

The Docker SDK takes a quarter of a second of processor time to import, which is more than the rest of such a command.
`Client` replaces the SDK's client: it makes these requests itself, and imports the SDK for all others and for its
exceptions.
"""

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    import docker

_STDOUT, _STDERR = 1, 2
_FRAME_HEADER = 8
"""Bytes: stream, three of padding, length (Docker's API, "Attach to a container")."""


class Client:
    """A client of the engine at an address, with the SDK's client for all other requests."""

    def __init__(self, host: str, timeout: float, connect: "Callable[[], docker.DockerClient]") -> None:
        self.api = Api(host, timeout, self)
        self._connect = connect
        self._sdk: docker.DockerClient | None = None

    def sdk(self) -> "docker.DockerClient":
        """Return the SDK's client, connected at the first call."""
        if self._sdk is None:
            self._sdk = self._connect()
        return self._sdk

    def version(self) -> dict[str, Any]:
        """Return the engine's versions: its own, its API's, its kernel's."""
        answer: dict[str, Any] = self.api.get("/version")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sdk(), name)


class Api:
    """Requests with the names and arguments of the SDK's low-level client; the SDK makes all others.

    Every request has a connection of its own, so threads may share the object.
    """

    def __init__(self, host: str, timeout: float, client: Client) -> None:
        self._host = host
        self._timeout = timeout
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client.sdk().api, name)

    def containers(self, *, all: bool, filters: Mapping[str, str]) -> list[dict[str, Any]]:  # noqa: A002 - the SDK's
        """Return the containers that match filters."""
        selected = json.dumps({key: [value] for key, value in filters.items()})
        found: list[dict[str, Any]] = self.get("/containers/json", all=int(all), filters=selected)
        return found

    def inspect_container(self, container: str) -> dict[str, Any]:
        """Return a container's configuration and state."""
        found: dict[str, Any] = self.get(f"/containers/{quote(container)}/json")
        return found

    def remove_container(self, container: str, *, force: bool, v: bool) -> None:
        """Remove a container; with `v` also its anonymous volumes."""
        with self._answer("DELETE", f"/containers/{quote(container)}", parameters={"force": int(force), "v": int(v)}):
            pass

    def networks(self, *, filters: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Return the networks that match filters."""
        selected = json.dumps({key: [value] for key, value in (filters or {}).items()})
        found: list[dict[str, Any]] = self.get("/networks", filters=selected)
        return found

    def remove_network(self, network: str) -> None:
        """Remove a network."""
        with self._answer("DELETE", f"/networks/{quote(network)}"):
            pass

    def pause(self, container: str) -> None:
        """Freeze a container."""
        self._post(f"/containers/{quote(container)}/pause")

    def unpause(self, container: str) -> None:
        """Thaw a container."""
        self._post(f"/containers/{quote(container)}/unpause")

    def exec_create(
        self, container: str, command: Sequence[str], *, stdout: bool = True, stderr: bool = True
    ) -> dict[str, Any]:
        """Prepare a command inside a container; returns its `Id`."""
        request = {"Cmd": list(command), "AttachStdout": stdout, "AttachStderr": stderr}
        created: dict[str, Any] = self._post(f"/containers/{quote(container)}/exec", request)
        return created

    def exec_start(self, exec_id: str, *, demux: bool = False, detach: bool = False) -> tuple[bytes, bytes] | None:
        """Start a prepared command; unless detached, wait for its end and return its stdout and stderr."""
        assert demux is not detach, "both streams in one are not supported"
        path = f"/exec/{quote(exec_id)}/start"
        if detach:
            self._post(path, {"Detach": True})
            return None
        with self._answer("POST", path, {"Detach": False, "Tty": False}, endless=True) as answer:
            return _demultiplexed(answer)

    def exec_inspect(self, exec_id: str) -> dict[str, Any]:
        """Return the state of a command."""
        found: dict[str, Any] = self.get(f"/exec/{quote(exec_id)}/json")
        return found

    def get(self, path: str, **parameters: object) -> Any:
        """Make a GET request and return its answer."""
        with self._answer("GET", path, parameters=parameters) as answer:
            return json.loads(self._read(answer))

    def _post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        with self._answer("POST", path, body) as answer:
            text = self._read(answer)
        is_json = answer.headers.get_content_type() == "application/json"
        return json.loads(text) if text and is_json else None

    def _answer(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        endless: bool = False,
        parameters: Mapping[str, object] | None = None,
    ) -> HTTPResponse:
        """Make a request and return its answer, with an `endless` body without a timeout.

        Raises the SDK's exceptions.
        """
        connection = _Connection(self._host, self._timeout)
        url = f"{path}?{urlencode(parameters)}" if parameters else path
        try:
            headers = {"Host": "docker", "Connection": "close", "Content-Type": "application/json"}
            connection.request(method, url, body=None if body is None else json.dumps(body), headers=headers)
            if endless:
                sock = connection.sock
                answer = connection.getresponse()
                sock.settimeout(None)
            else:
                answer = connection.getresponse()
            if answer.status < 400:
                return answer
            text = self._read(answer).decode(errors="replace")
        except (OSError, HTTPException) as error:
            connection.close()
            raise _unreachable(error) from error
        raise _refusal(answer, url, text)

    def _read(self, answer: HTTPResponse) -> bytes:
        try:
            return answer.read()
        except (OSError, HTTPException) as error:
            raise _unreachable(error) from error


class _Connection(HTTPConnection):
    """A connection to `unix://PATH` or `tcp://HOST:PORT`."""

    def __init__(self, host: str, timeout: float) -> None:
        self._url = urlsplit(host)
        super().__init__(self._url.hostname or "localhost", self._url.port or 2375, timeout=timeout)

    def connect(self) -> None:
        """Connect; `http.client` calls it."""
        if self._url.scheme != "unix":
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._url.path)


def _demultiplexed(stream: BinaryIO | HTTPResponse) -> tuple[bytes, bytes]:
    """Return stdout and stderr of a stream of frames."""
    found = {_STDOUT: bytearray(), _STDERR: bytearray()}
    try:
        while header := stream.read(_FRAME_HEADER):
            length = int.from_bytes(header[4:], "big")
            found.setdefault(header[0], bytearray()).extend(stream.read(length))
    except (OSError, HTTPException) as error:
        raise _unreachable(error) from error
    return bytes(found[_STDOUT]), bytes(found[_STDERR])


def _unreachable(error: Exception) -> Exception:
    from docker.errors import DockerException

    return DockerException(str(error) or type(error).__name__)


def _refusal(answer: HTTPResponse, url: str, text: str) -> Exception:
    """Return the SDK's exception for an answer with an error status."""
    from docker.errors import APIError, NotFound

    try:
        why = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        why = text
    response = SimpleNamespace(status_code=answer.status, reason=answer.reason, url=url)
    kind = NotFound if answer.status == 404 else APIError
    return kind(f"{answer.status} {answer.reason}", response=response, explanation=why)  # type: ignore[arg-type]
