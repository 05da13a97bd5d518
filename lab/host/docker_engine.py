"""The Docker engine of this host: connecting to it, and translating its client's errors.

The lab works in its containers' network namespaces through `/proc`, so an engine on another host, or in a virtual
machine of its own like Docker Desktop's, is refused. `bootstrap/` installs and starts an engine.
"""

import errno
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lab.core.errors import EnvironmentBroken, LabError

if TYPE_CHECKING:
    import docker

    from lab.host.docker_api import Client

DEFAULT_HOST = "unix:///var/run/docker.sock"

ANSWER_PATIENCE = 120
"""Seconds to wait for one answer: removing many containers at once takes long."""

OLDEST_PODMAN = 4
"""The oldest Podman whose interface for Docker's clients has the names of images that the lab gives them."""

# A ping is the same in every version; naming a version saves the request for it.
_ANY_VERSION = "1.41"


def endpoint(environment: Mapping[str, str] = os.environ) -> str:
    """Return the engine's address: `DOCKER_HOST`, or the system's socket."""
    return environment.get("DOCKER_HOST") or DEFAULT_HOST


def client_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of a request to the engine; a broken stream raises those of urllib3 or of the socket.

    The SDK is imported here, and not with this module: it takes a quarter of a second.
    """
    import requests
    import urllib3.exceptions
    from docker.errors import DockerException

    return (
        DockerException,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        HTTPException,
        ConnectionError,
        TimeoutError,
    )


def connect_fast() -> "Client | docker.DockerClient":
    """Return a client that imports the SDK only for rarely used requests; see `connect`."""
    host = endpoint()
    if refusal := refuse_remote(host):
        raise EnvironmentBroken(refusal)
    if urlsplit(host).scheme == "https" or os.environ.get("DOCKER_TLS_VERIFY"):
        return connect()
    from lab.host.docker_api import Client

    try:
        try_connect(host)
    except OSError as error:
        raise translate(host, error) from error
    client = Client(host, ANSWER_PATIENCE, connect)
    with translated(f"the engine at {host}"):
        facts = client.version()
    _refuse_other(host, facts)
    return client


def connect() -> "docker.DockerClient":
    """Return the SDK's client of this host's engine.

    Raises `EnvironmentBroken` with one sentence if there is no engine, no permission to use it, or if it is an old
    Podman or an engine on another host.
    """
    host = endpoint()
    if refusal := refuse_remote(host):
        raise EnvironmentBroken(refusal)
    import docker

    try:
        # The SDK hides the reason of a failed connection in a text; the socket itself gives the error number.
        try_connect(host)
        client = docker.from_env(timeout=ANSWER_PATIENCE)
        client.api.trust_env = False  # do not look up proxies and .netrc for each request to a local socket
        facts = client.version()
    except Exception as error:
        if isinstance(error, (OSError, *client_errors())):
            raise translate(host, error) from error
        raise
    try:
        _refuse_other(host, facts)
    except EnvironmentBroken:
        client.close()
        raise
    return client


def _refuse_other(host: str, facts: Mapping[str, Any]) -> None:
    """Raise `EnvironmentBroken` if an answer to `/version` is an old Podman's or an engine's on another kernel."""
    kernel = str(facts.get("KernelVersion", ""))
    if refusal := refuse_podman(host, facts) or refuse_foreign_kernel(host, kernel, os.uname().release):
        raise EnvironmentBroken(refusal)


def refuse_remote(host: str) -> str | None:
    """Return why an engine at this address cannot be used, or None."""
    url = urlsplit(host)
    if url.scheme == "unix":
        return None
    if url.scheme in ("tcp", "http", "https") and url.hostname in ("localhost", "127.0.0.1", "::1"):
        return None
    return (
        f"DOCKER_HOST={host} is an engine on another host, whose network namespaces cannot be reached "
        "from here: run the lab on that host, or unset DOCKER_HOST"
    )


def podman_version(facts: Mapping[str, Any]) -> str | None:
    """Return the version of the engine with this answer to `/version` if it is Podman, or None."""
    components = facts.get("Components") or ()
    return next((str(c.get("Version", "")) for c in components if "podman" in str(c.get("Name", "")).lower()), None)


def product(facts: Mapping[str, Any]) -> str:
    """Return name and version of the engine with this answer to `/version`, for display."""
    podman = podman_version(facts)
    return f"Docker {facts['Version']}" if podman is None else f"Podman {podman}"


def refuse_podman(host: str, facts: Mapping[str, Any]) -> str | None:
    """Return why an engine with this answer to `/version` cannot be used if it is an old Podman, or None."""
    version = podman_version(facts)
    if version is None or int(version.partition(".")[0] or 0) >= OLDEST_PODMAN:
        return None
    return (
        f"the engine at {host} is Podman {version}, whose interface for Docker's clients lacks what the lab needs: "
        f"install Podman {OLDEST_PODMAN} or newer, or set DOCKER_HOST to the socket of a Docker engine"
    )


def refuse_foreign_kernel(host: str, engine: str, here: str) -> str | None:
    """Return why an engine on the kernel `engine` cannot be used from the kernel `here`, or None."""
    if engine in ("", here):
        return None
    return (
        f"the Docker engine at {host} runs on another kernel ({engine}, this host has {here}), like Docker Desktop's, "
        "and its network namespaces cannot be reached from here: use a Docker engine of this host"
    )


def translate(host: str, error: Exception) -> EnvironmentBroken:
    """Return the error of a failed connection as one sentence with a remedy."""
    number = _errno(error)
    if number in (errno.EACCES, errno.EPERM):
        user = os.environ.get("USER") or f"with uid {os.geteuid()}"
        return EnvironmentBroken(
            f"user {user} may not use the Docker engine at {host}: "
            f"use sudo, or `sudo adduser {user} docker` and log in again"
        )
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.ENOTSOCK):
        return EnvironmentBroken(
            f"no Docker engine answers at {host}: start it, run `make lab-up ENGINE=docker` as root, which installs "
            "and starts one, or use the engine crun, which needs none"
        )
    return EnvironmentBroken(f"the Docker engine at {host} cannot be used: {reason(error)}")


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Translate the client's exceptions into `EnvironmentBroken` with one sentence; `where` is e.g. a node's name."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        if isinstance(error, client_errors()):
            raise _translation(where, error) from error
        raise


def _translation(where: str, error: Exception) -> EnvironmentBroken:
    from docker.errors import APIError, NotFound

    why = reason(error)
    if isinstance(error, NotFound):
        return EnvironmentBroken(f"{where}: it is gone ({why})")
    if not isinstance(error, APIError):
        return EnvironmentBroken(
            f"{where}: the Docker engine does not answer: {why}; check that dockerd runs, with `lab doctor`"
        )
    if "no space left" in why.lower():
        return EnvironmentBroken(
            f"{where}: the disk that Docker uses is full ({why}): free some space, e.g. with `docker system prune`"
        )
    return EnvironmentBroken(f"{where}: the engine refused: {why}")


def reason(error: BaseException) -> str:
    """Return the reason of a client's error, on one line."""
    import requests
    import urllib3.exceptions
    from docker.errors import APIError

    if isinstance(error, APIError):
        lines = str(error.explanation or error).strip().splitlines()
        return lines[-1] if lines else type(error).__name__
    if isinstance(error, requests.Timeout):
        return "timed out"
    if number := _errno(error):
        return os.strerror(number)
    if any(
        isinstance(cause, ConnectionError | HTTPException | urllib3.exceptions.HTTPError) for cause in _causes(error)
    ):
        # The text of such an error is the Python tuple that urllib3 was given.
        return "it closed the connection in the middle of a request"
    return " ".join(str(error).split())[:300] or type(error).__name__


def pull(api: Any, image: str) -> None:
    """Pull an image; raises the client's exceptions.

    Podman reports a failed pull, and Docker one that fails in the middle, in the answer's text.
    """
    from docker.errors import DockerException
    from docker.utils import parse_repository_tag

    repository, tag = parse_repository_tag(image)
    for event in api.pull(repository, tag=tag or "latest", stream=True, decode=True):
        if "error" in event:
            raise DockerException(event["error"])


def answers(host: str) -> bool:
    """Return whether the engine answers a request; its socket exists earlier, even if its start then fails."""
    import docker

    try:
        try_connect(host)
        return bool(docker.APIClient(base_url=host, version=_ANY_VERSION, timeout=5).ping())
    except PermissionError:
        return True  # it runs; `connect` reports that this user may not use it
    except Exception as error:
        if isinstance(error, (OSError, *client_errors())):
            return False
        raise


def is_absent(host: str) -> bool:
    """Return whether no process listens at an address; one that refuses access is present."""
    try:
        try_connect(host)
    except PermissionError:
        return False
    except OSError:
        return True
    return False


def try_connect(host: str) -> None:
    """Connect to an address and close the connection; raises `OSError`."""
    url = urlsplit(host)
    if url.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(url.path)
    else:
        socket.create_connection((url.hostname, url.port or 2375), timeout=5).close()


def _errno(error: BaseException) -> int | None:
    """Return the system's error number in a chain of exceptions, the outermost first."""
    return next((c.errno for c in _causes(error) if isinstance(c, OSError) and c.errno is not None), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, those in its arguments, where requests and urllib3 put them, and those that caused it."""
    seen: set[int] = set()
    rest: list[object] = [error]
    while rest:
        one = rest.pop(0)
        if isinstance(one, tuple):
            rest.extend(one)
        elif isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            rest += [one.args, one.__cause__ or one.__context__]
